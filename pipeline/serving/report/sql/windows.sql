-- Grain: one row per window without a response that could be loaded, of the user sessions $stays in this call session,
-- oldest first.
SELECT user_id, user_session_id, since, until, state, http_status, error
FROM this_call('windows')
WHERE list_contains($stays, user_session_id) AND state NOT IN ('landed', 'empty')
ORDER BY since, until
