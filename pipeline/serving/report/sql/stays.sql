-- Grain: one row per user session of this call session, worst first; only those of $participant if it is not NULL.
-- Worst first: poor stays, then publishers with data for less of their stay than the threshold, then good stays, then
-- all others. Within these: by the share of time with a low frame rate, then by warnings.
--
-- quality: Its row of participant_quality
-- facts: Its row of participant_sessions, with all columns that the table has
-- stay_number: Which stay of its user this is, from 1
-- stays: Stays of its user
WITH numbered AS (
    SELECT
        user_id,
        user_session_id,
        row_number() OVER (PARTITION BY user_id ORDER BY joined_at NULLS LAST, user_session_id) AS stay_number,
        count(*) OVER (PARTITION BY user_id) AS stays
    FROM this_call('participant_sessions')
),

covered AS (
    SELECT user_id, user_session_id, bool_or(unclassified_due_to = 'low coverage') AS has_low_coverage
    FROM this_call('track_quality')
    GROUP BY user_id, user_session_id
)

SELECT quality, facts, numbered.stay_number, numbered.stays
FROM this_call('participant_sessions') AS facts
INNER JOIN this_call('participant_quality') AS quality
    USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
INNER JOIN numbered USING (user_id, user_session_id)
LEFT JOIN covered USING (user_id, user_session_id)
WHERE $participant IS NULL OR facts.user_id = $participant
ORDER BY
    CASE
        WHEN quality.class = 'poor' THEN 1
        WHEN quality.class = 'unclassified' AND covered.has_low_coverage THEN 2
        WHEN quality.class = 'good' THEN 3
        WHEN quality.tracks > 0 THEN 4
        ELSE 5
    END,
    quality.worst_low_framerate_share DESC NULLS LAST,
    quality.warnings DESC,
    facts.joined_at ASC NULLS LAST,
    facts.user_id,
    facts.user_session_id
