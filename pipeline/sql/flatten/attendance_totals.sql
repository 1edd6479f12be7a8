-- Grain: one row per call session. Source: pages of Call Attendance, in `answers(n, call_type, call_id,
-- call_session_id, body)`. How many user sessions the source promises: the most that it ever said.
SELECT
    call_type,
    call_id,
    call_session_id,
    max(from_json(body, '{"total_participant_sessions": "BIGINT"}').total_participant_sessions) AS promised
FROM answers
GROUP BY ALL
ORDER BY call_type, call_id, call_session_id
