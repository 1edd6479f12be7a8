-- Grain: one row per published track of the call session $session, poor ones first.
SELECT
    user_id,
    track_kind,
    codec,
    class,
    poor_due_to,
    unclassified_due_to,
    round(active_seconds / 60, 1) AS active_minutes,
    coverage,
    round(framerate_mean, 1) AS framerate_mean,
    framerate_p5,
    low_framerate_share,
    round(send_stall_seconds) AS send_stall_seconds,
    round(bitrate_mean / 1000) AS kbit_per_s,
    height_p95,
    downscale_share,
    warnings,
    track_id
FROM track_quality
WHERE call_session_id = $session
ORDER BY class = 'poor' DESC, user_id, user_session_id, track_id, track_kind
