-- Grain: one row per warning on a track of the user sessions $stays in the call session that the four ids name, in order
-- of time.
SELECT user_id, user_session_id, track_id, track_type, "time", code, warning
FROM track_warnings
WHERE
    session_date = $session_date
    AND call_type = $call_type
    AND call_id = $call_id
    AND call_session_id = $call_session_id
    AND list_contains($stays, user_session_id)
ORDER BY "time" NULLS LAST, code, warning
