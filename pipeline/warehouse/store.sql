-- What lies under the published tables: how points are stored, and what is loaded.
--
-- store.samples: one row per track, codec and instant, its metrics side by side: a quarter of the rows of metric_points
-- and whole numbers instead of eight texts, which makes loading ten times cheaper. store.series says what a series_id
-- stands for. The ids of a day are its ordinal times 2^32 and on, so that the same tables give the same ids.
-- What the views need beside these comes from `track_statistics.py`: track_number is the first series_id of the same
-- track, shares_track whether it has others (its codec changed), interval_seconds the time that a sample counts for.
CREATE SCHEMA IF NOT EXISTS store;

CREATE TABLE IF NOT EXISTS store.meta (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE IF NOT EXISTS store.loaded (
    table_name VARCHAR,
    session_date DATE,
    fingerprint VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    PRIMARY KEY (table_name, session_date)
);

CREATE TABLE IF NOT EXISTS store.series (
    series_id BIGINT NOT NULL,
    session_date DATE NOT NULL,
    call_type VARCHAR,
    call_id VARCHAR,
    call_session_id VARCHAR,
    user_id VARCHAR,
    user_session_id VARCHAR,
    track_id VARCHAR,
    track_type VARCHAR,
    codec VARCHAR,
    track_number BIGINT NOT NULL,
    shares_track BOOLEAN NOT NULL
);

CREATE TABLE IF NOT EXISTS store.samples (
    series_id BIGINT NOT NULL,
    "timestamp" TIMESTAMPTZ NOT NULL,
    bitrate DOUBLE,
    framerate DOUBLE,
    resolution_width DOUBLE,
    resolution_height DOUBLE,
    interval_seconds DOUBLE NOT NULL
);

CREATE OR REPLACE VIEW metric_points AS
SELECT
    series.session_date,
    series.call_type,
    series.call_id,
    series.call_session_id,
    series.user_id,
    series.user_session_id,
    series.track_id,
    series.track_type,
    series.codec,
    points.metric,
    points."timestamp",
    points.value
FROM (
    SELECT series_id, 'bitrate' AS metric, "timestamp", bitrate AS value FROM store.samples WHERE bitrate IS NOT NULL
    UNION ALL
    SELECT series_id, 'framerate', "timestamp", framerate FROM store.samples WHERE framerate IS NOT NULL
    UNION ALL
    SELECT series_id, 'resolution_height', "timestamp", resolution_height
    FROM store.samples
    WHERE resolution_height IS NOT NULL
    UNION ALL
    SELECT series_id, 'resolution_width', "timestamp", resolution_width
    FROM store.samples
    WHERE resolution_width IS NOT NULL
) AS points
INNER JOIN store.series AS series ON points.series_id = series.series_id;
