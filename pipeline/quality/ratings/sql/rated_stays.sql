-- Grain: one row per judged user session (class good or poor in participant_quality): what the model of ratings sees of
-- it, and its rating. A feature that is NULL is unknown. Track features are those of the worst track.
--
-- rating: Mean rating that the user gave to the call session, 1 to 5, if they had just one stay in it; NULL if none
-- client_name: The client: SDK or browser, as received
-- features: The features by name. Shares are 0 to 1; names that begin with ln_ are natural logarithms of 1 + x
WITH rated AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        avg(rating) AS rating
    FROM user_ratings
    WHERE user_session_id IS NOT NULL AND rating BETWEEN 1 AND 5
    GROUP BY ALL
),

worst_tracks AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id, track_id, track_kind,
        max(strict_framerate_share) AS strict_framerate_share,
        max(send_stall_seconds / nullif(framerate_seconds, 0)) AS send_stall_share,
        max(1 - span_coverage) AS gap_share,
        min(bitrate_mean) AS bitrate_mean,
        max(downscale_share) AS downscale_share
    FROM track_quality
    GROUP BY ALL
)

SELECT
    session_date, call_type, call_id, call_session_id, user_id, user_session_id,
    rated.rating,
    quality.client_name,
    MAP {
        'poor': (quality.class = 'poor')::INTEGER::DOUBLE,
        'low_framerate_share': quality.worst_low_framerate_share,
        'strict_framerate_share': worst_tracks.strict_framerate_share,
        'send_stall_share': worst_tracks.send_stall_share,
        'gap_share': worst_tracks.gap_share,
        'ln_bitrate': ln(1 + greatest(worst_tracks.bitrate_mean, 0)),
        'downscale_share': worst_tracks.downscale_share,
        'ln_warnings': ln(1 + quality.warnings),
        'ln_first_media_seconds': ln(1 + greatest(quality.join_to_first_media_seconds, 0)),
        'ln_latency_ms': ln(1 + greatest(stays.latency_ms, 0)),
        'ln_jitter_ms': ln(1 + greatest(stays.jitter_ms, 0)),
        'ln_freezes_ms': ln(1 + greatest(stays.freezes_duration_ms, 0)),
        'cellular': (quality.network_type = 'cellular')::INTEGER::DOUBLE
    } AS features
FROM participant_quality AS quality
INNER JOIN participant_sessions AS stays
    USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN rated USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN worst_tracks
    ON
        quality.session_date = worst_tracks.session_date
        AND quality.call_type = worst_tracks.call_type
        AND quality.call_id = worst_tracks.call_id
        AND quality.call_session_id = worst_tracks.call_session_id
        AND quality.user_id = worst_tracks.user_id
        AND quality.user_session_id = worst_tracks.user_session_id
        AND quality.worst_track_id = worst_tracks.track_id
        AND quality.worst_track_kind = worst_tracks.track_kind
WHERE quality.class IN ('good', 'poor')
