-- Grain: one row per window that should exist. Sources: `expected(call_type, call_id, call_session_id, user_id,
-- user_session_id, since, until)`; `asked`, the same ids and `since` with one row per request that was made (`n`: a
-- greater one is later; `status, attempts, fetched_at, error, suspect, unit`); `held(…, since, points)`.
-- A usable answer goes before a 404, a 404 before a failure; among equals the latest decides.
WITH latest AS (
    SELECT
        call_type,
        call_id,
        call_session_id,
        user_id,
        user_session_id,
        since,
        arg_max(asked, n) FILTER (WHERE error IS NULL) AS answered,
        arg_max(asked, n) FILTER (WHERE status = 404) AS gone,
        arg_max(asked, n) AS last,
        arg_max(unit, n) AS unit,
        coalesce(bool_or(suspect), false) AS suspect
    FROM asked
    GROUP BY ALL
),

decided AS (
    SELECT
        * EXCLUDE (answered, gone),
        coalesce(answered, gone, last) AS answer
    FROM latest
)

SELECT
    $day::DATE AS session_date,
    expected.*,
    CASE
        WHEN decided.answer IS NULL THEN 'missing'
        WHEN held.points > 0 THEN 'landed'
        WHEN decided.suspect THEN 'suspect'
        WHEN decided.answer.error IS NULL THEN 'empty'
        WHEN decided.answer.status = 404 THEN 'gone'
        ELSE 'failed'
    END AS state,
    decided.answer.status AS http_status,
    decided.answer.attempts AS attempts,
    coalesce(held.points, 0) AS points,
    decided.unit AS timestamp_unit,
    decided.answer.fetched_at AS fetched_at,
    CASE
        WHEN decided.last.error IS NOT NULL THEN decided.last.error
        WHEN decided.suspect THEN 'timestamps lie outside the window or cannot be read'
    END AS error
FROM expected
LEFT JOIN decided USING (call_type, call_id, call_session_id, user_id, user_session_id, since)
LEFT JOIN held USING (call_type, call_id, call_session_id, user_id, user_session_id, since)
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id, since
