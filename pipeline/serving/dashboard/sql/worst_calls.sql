-- Grain: one row per call session from $first to $last with a poor publisher, for the fifty with the most of them.
SELECT
    started_at,
    call_type,
    call_id,
    publishers,
    poor_publishers,
    poor_share,
    peak_publishers_low AS low_at_once,
    peak_publishers_low_at AS low_at,
    unclassified_publishers,
    rejoins,
    warnings,
    cq_score AS source_score,
    call_session_id
FROM call_quality
WHERE session_date BETWEEN $first AND $last AND poor_publishers > 0
ORDER BY poor_publishers DESC, poor_share DESC, low_at_once DESC, started_at, call_session_id
LIMIT 50
