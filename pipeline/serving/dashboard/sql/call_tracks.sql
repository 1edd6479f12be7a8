-- Grain: one row per published track of the call session $session, poor ones first.
SELECT
    user_id,
    replace(track_kind, '_', ' ') AS track_kind,
    codec,
    class,
    coalesce(poor_due_to, unclassified_due_to) AS due_to,
    active_seconds / 60 AS active_minutes,
    coverage,
    framerate_mean,
    framerate_p5,
    low_framerate_share,
    CASE WHEN framerate_seconds > 0 THEN send_stall_seconds END AS send_stall_seconds,
    bitrate_mean / 1000 AS kbit_per_s,
    height_p95,
    downscale_share,
    warnings,
    track_id
FROM track_quality
WHERE call_session_id = $session
ORDER BY class = 'poor' DESC, user_id, user_session_id, track_id, track_type
