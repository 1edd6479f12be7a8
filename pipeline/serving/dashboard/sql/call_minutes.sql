-- Grain: one row per minute of each user and kind of video (camera, screen share) in the call session $session, for the
-- ten users with the worst video. Minutes without data between the first and the last one with data are NULL, so that
-- lines break there.
WITH minutes AS (
    SELECT
        minutes.user_id,
        replace(kinds.track_kind, '_', ' ') AS track_kind,
        minutes.minute,
        round(avg(minutes.framerate_mean), 1) AS framerate,
        round(sum(minutes.bitrate_mean) / 1000) AS kbit_per_s
    FROM track_minutes AS minutes
    INNER JOIN track_kinds AS kinds USING (track_type)
    WHERE minutes.call_session_id = $session AND kinds.track_kind IN ('camera', 'screen_share')
    GROUP BY ALL
),

worst AS (
    SELECT user_id
    FROM participant_quality
    WHERE call_session_id = $session AND user_id IN (SELECT user_id FROM minutes)
    GROUP BY user_id
    ORDER BY bool_or(class = 'poor') DESC, min(worst_framerate_p5) ASC NULLS LAST, user_id ASC
    LIMIT 10
),

lines AS (
    SELECT
        user_id,
        track_kind,
        unnest(generate_series(min(minute), max(minute), INTERVAL 1 MINUTE)) AS minute
    FROM minutes
    WHERE user_id IN (FROM worst)
    GROUP BY user_id, track_kind
)

SELECT
    lines.user_id,
    lines.track_kind,
    lines.minute,
    minutes.framerate,
    minutes.kbit_per_s,
    (SELECT count(DISTINCT user_id) FROM minutes) AS users_with_video
FROM lines
LEFT JOIN minutes USING (user_id, track_kind, minute)
ORDER BY lines.minute, lines.user_id, lines.track_kind
