-- Grain: one row, for the call session $session. How good it was, and how complete it is.
--
-- is_live: Whether it was still live when last fetched
-- live_at: When that was
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
    calls.is_live,
    calls.generated_at AS live_at,
    completeness.is_complete,
    completeness.windows_due,
    completeness.windows_suspect,
    completeness.windows_missing,
    completeness.windows_failed,
    completeness.stays_promised,
    completeness.stays_held
FROM call_quality AS quality
INNER JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
LEFT JOIN ingest_completeness_by_call AS completeness USING (session_date, call_type, call_id, call_session_id)
WHERE quality.call_session_id = $session
