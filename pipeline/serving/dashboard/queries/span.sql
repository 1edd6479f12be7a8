-- Grain: one row. The first and the last day that anything is known of, NULL where there is none, and when the newest
-- answer was fetched.
SELECT min(session_date) AS "first", max(session_date) AS "last", max(newest_fetch_at) AS newest_fetch_at
FROM ingest_completeness
