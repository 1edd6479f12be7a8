-- Grain: one row per minute of each user and kind of video (camera, screen share) in the call session $session.
SELECT
    minutes.minute,
    minutes.user_id || ' ' || kinds.track_kind AS track,
    round(avg(minutes.framerate_mean), 1) AS framerate,
    round(sum(minutes.bitrate_mean) / 1000) AS kbit_per_s
FROM track_minutes AS minutes
JOIN track_kinds AS kinds USING (track_type)
WHERE minutes.call_session_id = $session AND kinds.track_kind IN ('camera', 'screen_share')
GROUP BY ALL
ORDER BY minute, track
