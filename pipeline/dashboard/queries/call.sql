-- Grain: one row per call session with the id $session, which is one.
SELECT
    started_at,
    ended_at,
    users,
    publishers,
    poor_publishers,
    unclassified_publishers,
    poor_share,
    peak_publishers_low AS low_at_once,
    peak_publishers_low_at AS low_at,
    rejoins,
    warnings,
    round(quality_score) AS score,
    cq_score AS source_score,
    call_type,
    call_id
FROM call_quality
WHERE call_session_id = $session
