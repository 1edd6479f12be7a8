-- Grain: one row per window without an answer that could be loaded, of the user sessions $stays in the call session that
-- the four ids name, in order of time.
SELECT user_id, user_session_id, since, until, state, http_status, error
FROM windows
WHERE
    session_date = $session_date
    AND call_type = $call_type
    AND call_id = $call_id
    AND call_session_id = $call_session_id
    AND list_contains($stays, user_session_id)
    AND state NOT IN ('landed', 'empty')
ORDER BY since, until
