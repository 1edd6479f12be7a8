-- Grain: one row per user of the call session that the four ids name, in order of their first joining.
SELECT user_id, count(*) AS stays
FROM participant_sessions
WHERE
    session_date = $session_date
    AND call_type = $call_type
    AND call_id = $call_id
    AND call_session_id = $call_session_id
GROUP BY user_id
ORDER BY min(joined_at) NULLS LAST, user_id
