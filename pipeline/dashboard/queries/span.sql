-- Grain: one row. The first and the last day that anything is known of; NULL where there is none.
SELECT min(session_date) AS "first", max(session_date) AS "last" FROM ingest_completeness
