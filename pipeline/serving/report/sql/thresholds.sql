-- Grain: one row per kind of track that has a low frame rate or a low bitrate.
SELECT track_kind, low_framerate, min_bitrate
FROM quality_thresholds
WHERE low_framerate IS NOT NULL OR min_bitrate IS NOT NULL
ORDER BY track_kind
