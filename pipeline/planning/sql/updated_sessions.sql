-- Grain: one row per call session and version in a listing. Source: `pages(n, body)` of POST /api/v2/video/call_stats.
-- `version` changes with anything that the source says about the session, also in fields that we do not know.
-- `generated_at` is when the source made its report.
SELECT DISTINCT
    instant(stats ->> 'call_started_at')::DATE AS session_date,
    md5(stats::VARCHAR) AS version,
    instant(stats ->> 'generated_at') AS generated_at
FROM (SELECT unnest(try(from_json(body, '{"call_stats": ["JSON"]}')).call_stats) AS stats FROM pages)
WHERE instant(stats ->> 'call_started_at') IS NOT NULL
ORDER BY ALL
