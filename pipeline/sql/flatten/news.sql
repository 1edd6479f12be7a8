-- Grain: one row per call session of a listing. Source: pages of POST /api/v2/video/call_stats, in `answers(n, body)`.
-- `version` changes with whatever the source tells of the session; `generated_at` is when it made the report.
SELECT DISTINCT
    instant(stats ->> 'call_started_at')::DATE AS session_date,
    md5(stats::VARCHAR) AS version,
    instant(stats ->> 'generated_at') AS generated_at
FROM (SELECT unnest(try(from_json(body, '{"call_stats": ["JSON"]}')).call_stats) AS stats FROM answers)
WHERE instant(stats ->> 'call_started_at') IS NOT NULL
ORDER BY ALL
