-- Grain: one row per user session of the call session that the four ids name, worst first; of $participant where that
-- is not NULL. Worst first: poor, then publishers without data for much of their stay, then good, then all others;
-- among these by the share of time with a low frame rate, then by warnings.
--
-- quality: Its row of participant_quality
-- facts: Its row of participant_sessions, with whatever columns that has
-- stay_number: Which stay of its user this is, from 1 on
-- stays: Stays of its user
WITH numbered AS (
    SELECT
        user_id,
        user_session_id,
        row_number() OVER (PARTITION BY user_id ORDER BY joined_at NULLS LAST, user_session_id) AS stay_number,
        count(*) OVER (PARTITION BY user_id) AS stays
    FROM participant_sessions
    WHERE
        session_date = $session_date
        AND call_type = $call_type
        AND call_id = $call_id
        AND call_session_id = $call_session_id
),

holed AS (
    SELECT user_id, user_session_id, bool_or(unclassified_due_to = 'low coverage') AS has_holes
    FROM track_quality
    WHERE
        session_date = $session_date
        AND call_type = $call_type
        AND call_id = $call_id
        AND call_session_id = $call_session_id
    GROUP BY user_id, user_session_id
)

SELECT quality, facts, numbered.stay_number, numbered.stays
FROM participant_sessions AS facts
INNER JOIN participant_quality AS quality
    USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
INNER JOIN numbered USING (user_id, user_session_id)
LEFT JOIN holed USING (user_id, user_session_id)
WHERE
    facts.session_date = $session_date
    AND facts.call_type = $call_type
    AND facts.call_id = $call_id
    AND facts.call_session_id = $call_session_id
    AND ($participant IS NULL OR facts.user_id = $participant)
ORDER BY
    CASE
        WHEN quality.class = 'poor' THEN 1
        WHEN quality.class = 'unclassified' AND holed.has_holes THEN 2
        WHEN quality.class = 'good' THEN 3
        WHEN quality.tracks > 0 THEN 4
        ELSE 5
    END,
    quality.worst_low_framerate_share DESC NULLS LAST,
    quality.warnings DESC,
    facts.joined_at ASC NULLS LAST,
    facts.user_id,
    facts.user_session_id
