-- Grain: one row per track with points, of the user sessions $stays in this call session.
--
-- instants: The instants of its points in order, microseconds since 1970
-- bitrate: The bitrate at each instant; NULL if there is none. The same for all columns that follow
-- height: The shorter side of the picture in pixels, so that an orientation swap changes nothing
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
FROM this_call('track_samples')
WHERE list_contains($stays, user_session_id)
GROUP BY user_id, user_session_id, track_id, track_type
