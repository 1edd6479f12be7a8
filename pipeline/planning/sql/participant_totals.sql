-- Grain: one row per call session. Source: `pages(n, call_type, call_id, call_session_id, body)` of Call Attendance.
-- `promised` is the greatest total of stays that the source ever reported. `erased` is how many of them are of erased
-- people, by the marks that these leave (see landing/erasure.py).
WITH parsed AS (
    SELECT call_type, call_id, call_session_id, participant_sessions_body(body) AS page
    FROM pages
),

marks AS (
    SELECT call_type, call_id, call_session_id, count(DISTINCT mark) AS erased
    FROM (
        SELECT call_type, call_id, call_session_id, unnest(page.participants_sessions).forgotten AS mark
        FROM parsed
    )
    GROUP BY ALL
)

SELECT
    parsed.call_type,
    parsed.call_id,
    parsed.call_session_id,
    max(parsed.page.total_participant_sessions) AS promised,
    coalesce(any_value(marks.erased), 0)::BIGINT AS erased
FROM parsed
LEFT JOIN marks USING (call_type, call_id, call_session_id)
GROUP BY ALL
ORDER BY ALL
