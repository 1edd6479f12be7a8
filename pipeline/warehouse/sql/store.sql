-- The tables behind the published ones: how data points are stored, and which tables of a day are loaded.
--
-- store.samples is in `packed_samples.sql` for a file and in `samples.sql` for a DuckLake. The view metric_points is in
-- `points_view.py`.
-- store.series: one row per track and codec, with its series_id. The ids of a day start at its ordinal times 2^32, so
-- that the same tables give the same ids.
-- store.meta: version, generation and owner of the database, and the mark of its views and comments.
-- store.loaded: one row per table and day that is loaded, with its fingerprint.
-- `quality/track_statistics.py` computes two of the columns. track_number is the first series_id of the track; shares_track
-- says whether the track has other series, because its codec changed.
CREATE SCHEMA IF NOT EXISTS store;

-- column_comments: one row per column of a table or view, with its comment; `definitions.py` fills it.
CREATE TABLE IF NOT EXISTS column_comments (
    table_name VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    "comment" VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS store.meta (name VARCHAR NOT NULL, value VARCHAR NOT NULL);

CREATE TABLE IF NOT EXISTS store.loaded (
    session_date DATE NOT NULL,
    table_name VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    row_count BIGINT NOT NULL
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
