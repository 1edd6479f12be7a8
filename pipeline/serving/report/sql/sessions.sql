-- Grain: one row per call session that $wanted names, by its call_session_id or as type:id, newest first.
SELECT session_date, call_type, call_id, call_session_id, call_cid, started_at
FROM call_sessions
WHERE call_session_id = $wanted OR call_cid = $wanted
ORDER BY call_session_id = $wanted DESC, started_at DESC NULLS LAST, call_session_id
