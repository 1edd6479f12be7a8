-- Grain: one row per user session. Sources: `attendance`, see attendance.sql, and `clients`, see clients.sql, with ids.
SELECT $day::DATE AS session_date, *
FROM attendance
LEFT JOIN clients USING (call_type, call_id, call_session_id, user_id, user_session_id)
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id
