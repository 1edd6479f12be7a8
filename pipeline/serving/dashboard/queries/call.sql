-- Grain: one row per call session with the id $session, which is one. How it was, and what of it is here.
SELECT
    quality.call_type,
    quality.call_id,
    quality.started_at,
    quality.ended_at,
    quality.users,
    quality.publishers,
    quality.poor_publishers,
    quality.good_publishers,
    quality.unclassified_publishers,
    quality.peak_publishers_low AS low_at_once,
    quality.peak_publishers_low_at AS low_at,
    quality.rejoins,
    quality.cq_score AS source_score,
    held.is_complete,
    held.windows_due,
    held.windows_suspect,
    held.windows_missing,
    held.windows_failed,
    held.stays_promised,
    held.stays_held
FROM call_quality AS quality
LEFT JOIN ingest_completeness_by_call AS held USING (session_date, call_type, call_id, call_session_id)
WHERE quality.call_session_id = $session
