-- Grain: one row per kind of track that has a low frame rate.
SELECT track_kind, low_framerate FROM quality_thresholds WHERE low_framerate IS NOT NULL ORDER BY track_kind
