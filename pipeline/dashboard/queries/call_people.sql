-- Grain: one row per user session of the call session $session, poor ones first.
SELECT
    user_id,
    class,
    poor_due_to,
    joined_at,
    left_at,
    round(join_to_first_media_seconds, 1) AS seconds_to_first_media,
    round(published_seconds / 60, 1) AS published_minutes,
    tracks,
    poor_tracks,
    worst_track_kind,
    worst_framerate_p5,
    warnings,
    network_type,
    client_name,
    client_version,
    country
FROM participant_quality
WHERE call_session_id = $session
ORDER BY class = 'poor' DESC, joined_at, user_session_id
