-- Grain: one row per rating. Sources: `ratings` (see user_feedback.sql in planning/sql), and the stays in `participants`.
-- A rating names a call session and a user. It is about the user's stay if there is just one.
WITH only_stays AS (
    SELECT call_type, call_id, call_session_id, user_id, any_value(user_session_id) AS user_session_id
    FROM participants
    GROUP BY ALL
    HAVING count(*) = 1
)

SELECT
    $day::DATE AS session_date,
    ratings.*,
    only_stays.user_session_id
FROM ratings
LEFT JOIN only_stays USING (call_type, call_id, call_session_id, user_id)
ORDER BY call_type, call_id, call_session_id, user_id, rating_number
