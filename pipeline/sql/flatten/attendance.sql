-- Grain: one row per user session. Source: pages of Call Attendance, in `answers(n, call_type, call_id,
-- call_session_id, body)`; a greater n is a later answer. Of each column the latest answer that has a value wins, and a
-- session that an earlier answer named stays, whatever later ones leave out.
WITH listed AS (
    SELECT
        n,
        call_type,
        call_id,
        call_session_id,
        unnest(
            try(from_json(
                body,
                '{"participants_sessions": [{
                    "user_id": "VARCHAR", "user_session_id": "VARCHAR", "joined_at": "VARCHAR", "left_at": "VARCHAR",
                    "duration_in_seconds": "BIGINT", "publisher_type": "VARCHAR", "roles": ["VARCHAR"]
                }]}'
            )).participants_sessions
        ) AS stay
    FROM answers
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
