-- Grain: one row per window that should exist. Sources: `expected(call_type, call_id, call_session_id, user_id,
-- user_session_id, since, until)`; `requests`, the same ids and `since` with one row per request (a greater `n` is later;
-- `status, attempts, fetched_at, error, suspect, unit`); `window_points`, the
-- same ids, `since` and `points`.
-- A usable response takes precedence over a 404, a 404 over a failure; among equals the latest decides.
WITH latest AS (
    SELECT
        call_type,
        call_id,
        call_session_id,
        user_id,
        user_session_id,
        since,
        arg_max(requests, n) FILTER (WHERE error IS NULL) AS usable,
        arg_max(requests, n) FILTER (WHERE status = 404) AS gone,
        arg_max(requests, n) AS last,
        arg_max(unit, n) AS unit,
        coalesce(bool_or(suspect), false) AS suspect
    FROM requests
    GROUP BY ALL
),

decided AS (
    SELECT
        * EXCLUDE (usable, gone),
        coalesce(usable, gone, last) AS response
    FROM latest
)

SELECT
    $day::DATE AS session_date,
    expected.*,
    CASE
        WHEN decided.response IS NULL THEN 'missing'
        WHEN window_points.points > 0 THEN 'landed'
        WHEN decided.suspect THEN 'suspect'
        WHEN decided.response.error IS NULL THEN 'empty'
        WHEN decided.response.status = 404 THEN 'gone'
        ELSE 'failed'
    END AS state,
    decided.response.status AS http_status,
    decided.response.attempts AS attempts,
    coalesce(window_points.points, 0) AS points,
    decided.unit AS timestamp_unit,
    decided.response.fetched_at AS fetched_at,
    CASE
        WHEN decided.last.error IS NOT NULL THEN decided.last.error
        WHEN decided.suspect THEN 'timestamps are outside the window or cannot be read'
    END AS error
FROM expected
LEFT JOIN decided USING (call_type, call_id, call_session_id, user_id, user_session_id, since)
LEFT JOIN window_points USING (call_type, call_id, call_session_id, user_id, user_session_id, since)
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id, since
