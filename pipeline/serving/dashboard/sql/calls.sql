-- Grain: one row per call session from $first to $last, newest first. The reader chooses a call from these.
SELECT call_session_id, call_type, call_id, started_at
FROM call_quality
WHERE session_date BETWEEN $first AND $last
ORDER BY started_at DESC, call_session_id
LIMIT 5000
