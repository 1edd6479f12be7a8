-- Grain: one row per kind of track for which a frame rate is low.
SELECT track_kind, low_framerate FROM quality_thresholds WHERE low_framerate IS NOT NULL ORDER BY track_kind
