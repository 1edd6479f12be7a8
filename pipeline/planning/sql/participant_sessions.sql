-- Grain: one row per stay. Source: `pages(n, call_type, call_id, call_session_id, body)` of Call Attendance; a greater n
-- is later. Of each column the latest page with a value wins. A stay that an earlier page listed remains, whatever later
-- pages leave out.
WITH listed AS (
    SELECT
        n,
        call_type,
        call_id,
        call_session_id,
        unnest(participant_sessions_body(body).participants_sessions) AS stay
    FROM pages
)

SELECT
    call_type,
    call_id,
    call_session_id,
    stay.user_id AS user_id,
    stay.user_session_id AS user_session_id,
    arg_max(instant(stay.joined_at), n) AS joined_at,
    arg_max(instant(stay.left_at), n) AS left_at,
    arg_max(stay.duration_in_seconds, n) AS duration_seconds,
    arg_max(stay.publisher_type, n) AS publisher_type,
    arg_max(stay.roles, n) AS roles
FROM listed
WHERE stay.user_id IS NOT NULL AND stay.user_session_id IS NOT NULL
GROUP BY ALL
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id
