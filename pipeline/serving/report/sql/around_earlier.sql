-- Grain: one row per user of $users with a judged stay before the call session, in the 28 days before it. A stay is poor
-- if one of its tracks is, else judged if one of them is good, as in participant_quality.
--
-- judged: Judged stays in other call sessions that began before the call session did
-- poor: Poor ones of these
WITH began AS (
    SELECT coalesce(started_at, session_date::TIMESTAMPTZ) AS started_at
    FROM this_call('call_sessions')
),

stays AS (
    SELECT user_id, user_session_id, bool_or(class = 'poor') AS is_poor
    FROM track_quality
    INNER JOIN participant_sessions AS sessions
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    WHERE
        session_date BETWEEN getvariable('this_call').session_date - 28 AND getvariable('this_call').session_date
        AND list_contains($users, user_id)
        AND class IN ('good', 'poor')
        AND sessions.joined_at < (SELECT started_at FROM began)
    GROUP BY session_date, call_type, call_id, call_session_id, user_id, user_session_id
)

SELECT user_id, count(*) AS judged, count(*) FILTER (is_poor) AS poor
FROM stays
GROUP BY user_id
