-- store.samples of a DuckLake: one row per track, codec and instant, with the metrics side by side; `pivot.py` says why.
-- It also gets the ids of its series. interval_seconds is the time that a sample counts for, see
-- `quality/track_statistics.py`.
CREATE TABLE IF NOT EXISTS store.samples (
    session_date DATE NOT NULL,
    series_id BIGINT NOT NULL,
    "timestamp" TIMESTAMPTZ NOT NULL,
    bitrate DOUBLE,
    framerate DOUBLE,
    resolution_width DOUBLE,
    resolution_height DOUBLE,
    interval_seconds DOUBLE NOT NULL
);
