-- Grain: one row per user session of the call session $session, poor ones first, those that published nothing last.
-- The columns after warnings are from participant_sessions, and NULL if the source does not report them.
SELECT
    quality.user_id,
    CASE WHEN quality.tracks = 0 THEN 'published nothing' ELSE quality.class END AS class,
    quality.poor_due_to,
    quality.joined_at,
    quality.left_at,
    quality.published_seconds / 60 AS published_minutes,
    quality.join_to_first_media_seconds AS seconds_to_first_media,
    quality.tracks,
    quality.poor_tracks,
    replace(quality.worst_track_kind, '_', ' ') AS worst_track_kind,
    quality.worst_framerate_p5,
    quality.warnings,
    stays.latency_ms,
    stays.jitter_ms,
    stays.freezes_duration_ms / 1000 AS freeze_seconds,
    stays.cq_score AS source_score,
    stays.network_type,
    concat_ws(' ', stays.client_name, stays.client_version) AS client,
    concat_ws(' ', stays.sdk, stays.sdk_version) AS sdk,
    concat_ws(' ', stays.browser, stays.browser_version) AS browser,
    stays.os,
    concat_ws(', ', stays.city, stays.country) AS place,
    stays.current_sfu,
    stays.distance_to_sfu_kilometers
FROM participant_quality AS quality
INNER JOIN participant_sessions AS stays
    USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
WHERE quality.call_session_id = $session
ORDER BY quality.class = 'poor' DESC, quality.tracks > 0 DESC, quality.joined_at, quality.user_session_id
