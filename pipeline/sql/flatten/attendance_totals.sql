-- Grain: one row per call session. Source: pages of Call Attendance, in `answers(n, call_type, call_id,
-- call_session_id, body)`. `promised` is how many user sessions the source speaks of, the most that it ever said;
-- `forgotten` is how many of them are of people who may not be kept (see privacy.py).
WITH pages AS (
    SELECT
        call_type,
        call_id,
        call_session_id,
        try(from_json(
            body,
            '{"total_participant_sessions": "BIGINT", "participants_sessions": [{"forgotten": "VARCHAR"}]}'
        )) AS page
    FROM answers
),

marks AS (
    SELECT call_type, call_id, call_session_id, count(DISTINCT mark) AS forgotten
    FROM (
        SELECT call_type, call_id, call_session_id, unnest(page.participants_sessions).forgotten AS mark
        FROM pages
    )
    GROUP BY ALL
)

SELECT
    pages.call_type,
    pages.call_id,
    pages.call_session_id,
    max(page.total_participant_sessions) AS promised,
    coalesce(any_value(marks.forgotten), 0)::BIGINT AS forgotten
FROM pages
LEFT JOIN marks USING (call_type, call_id, call_session_id)
GROUP BY ALL
ORDER BY ALL
