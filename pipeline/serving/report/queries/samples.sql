-- Grain: one row per track with points, of the user sessions $stays in the call session that the four ids name.
--
-- instants: Its instants in order, microseconds since 1970
-- bitrate: The bitrate at each of them, as all that follow; NULL where there is none
-- height: The shorter side of the picture, in pixels, so that an orientation swap changes nothing
SELECT
    user_id,
    user_session_id,
    track_id,
    track_type,
    list(epoch_us("timestamp") ORDER BY "timestamp") AS instants,
    list(bitrate ORDER BY "timestamp") AS bitrate,
    list(framerate ORDER BY "timestamp") AS framerate,
    list(
        CASE
            WHEN resolution_width IS NOT NULL AND resolution_height IS NOT NULL
                THEN least(resolution_width, resolution_height)
        END
        ORDER BY "timestamp"
    ) AS height
FROM track_samples
WHERE
    session_date = $session_date
    AND call_type = $call_type
    AND call_id = $call_id
    AND call_session_id = $call_session_id
    AND list_contains($stays, user_session_id)
GROUP BY user_id, user_session_id, track_id, track_type
