-- Grain: one row per warning on a track of the user sessions $stays in this call session, oldest first.
SELECT user_id, user_session_id, track_id, track_type, "time", code, warning
FROM this_call('track_warnings')
WHERE list_contains($stays, user_session_id)
ORDER BY "time" NULLS LAST, code, warning
