-- Grain: one row per track of an answer. Source: `parsed`, see metrics.sql. The four metrics as lists of pairs.
SELECT
    n,
    track.track_id AS track_id,
    track.track_type AS track_type,
    track.codec AS codec,
    track.bitrate.data_points AS bitrate,
    track.framerate.data_points AS framerate,
    track.resolution.height.data_points AS resolution_height,
    track.resolution.width.data_points AS resolution_width
FROM (SELECT n, unnest(answer.published_tracks) AS track FROM parsed)
