-- Grain: one row per event of the participant timelines of the user sessions $stays in this call session, oldest first.
SELECT user_id, user_session_id, "timestamp", "type", severity, "data"
FROM this_call('timeline_events')
WHERE list_contains($stays, user_session_id)
ORDER BY "timestamp" NULLS LAST, "type", severity, "data"
