-- Grain: one row. The first and the last day with stored data (NULL if there is none), and when the newest response was
-- fetched.
SELECT min(session_date) AS "first", max(session_date) AS "last", max(newest_fetch_at) AS newest_fetch_at
FROM ingest_completeness
