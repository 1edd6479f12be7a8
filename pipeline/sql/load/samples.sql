-- Grain: one row per series and instant. Source: `fresh(series_id, metric, timestamp, value)`, whole tracks at a time;
-- metric is the place in tables.METRICS.
INSERT INTO store.samples
SELECT
    series_id,
    "timestamp",
    max(value) FILTER (WHERE metric = 0) AS bitrate,
    max(value) FILTER (WHERE metric = 1) AS framerate,
    max(value) FILTER (WHERE metric = 3) AS resolution_width,
    max(value) FILTER (WHERE metric = 2) AS resolution_height
FROM fresh
GROUP BY series_id, "timestamp"
ORDER BY series_id, "timestamp"
