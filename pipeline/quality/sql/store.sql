-- The tables behind the views of call quality: statistics per track, and the thresholds that users edit.
--
-- Statistics are too slow to compute in every query. `track_statistics.py` computes them when a day is loaded. None of
-- them depends on a threshold.
--
-- store.track_statistics: one row per track with points; track_number is its first series_id. Seconds are time-weighted:
-- a point counts until the next point of its track, or for one median step if the next is more than three steps away.
--   framerate_histogram: seconds at 0 to 1, 1 to 2, … frames per second; the 61st element is for 60 and more
--   height_seconds: seconds at each height, in pixels of the shorter side
--   bits_per_pixel_frame: bits sent per pixel of each frame, over points that have all four metrics
CREATE TABLE IF NOT EXISTS store.track_statistics (
    session_date DATE NOT NULL,
    track_number BIGINT NOT NULL,
    step_seconds DOUBLE,
    first_media_at TIMESTAMPTZ,
    instants BIGINT NOT NULL,
    active_seconds DOUBLE NOT NULL,
    gaps BIGINT NOT NULL,
    longest_gap_seconds DOUBLE NOT NULL,
    bitrate_seconds DOUBLE NOT NULL,
    bitrate_mean DOUBLE,
    bitrate_p5 DOUBLE,
    bitrate_p50 DOUBLE,
    bitrate_p95 DOUBLE,
    framerate_seconds DOUBLE NOT NULL,
    framerate_mean DOUBLE,
    framerate_p5 DOUBLE,
    framerate_p50 DOUBLE,
    framerate_p95 DOUBLE,
    framerate_histogram DOUBLE[] NOT NULL,
    send_stalls BIGINT NOT NULL,
    send_stall_seconds DOUBLE NOT NULL,
    resolution_seconds DOUBLE NOT NULL,
    switches_up BIGINT NOT NULL,
    switches_down BIGINT NOT NULL,
    height_seconds MAP(INTEGER, DOUBLE) NOT NULL,
    height_p95 INTEGER,
    downscaled_seconds DOUBLE NOT NULL,
    bits_per_pixel_frame DOUBLE
);

-- store.track_spans: one row per stretch of a track without a gap; since inclusive, until exclusive.
CREATE TABLE IF NOT EXISTS store.track_spans (
    session_date DATE NOT NULL,
    track_number BIGINT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL
);

-- quality_thresholds: one row per kind of track; `thresholds.py` documents the columns.
CREATE TABLE IF NOT EXISTS quality_thresholds (
    track_kind VARCHAR NOT NULL,
    low_framerate DOUBLE,
    strict_framerate DOUBLE,
    max_low_framerate_share DOUBLE,
    max_send_stall_share DOUBLE,
    min_bitrate DOUBLE,
    min_active_seconds DOUBLE,
    min_coverage DOUBLE
);
