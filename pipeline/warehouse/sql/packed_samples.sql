-- store.samples of a DuckDB file: as in `samples.sql`, but instants are stored as steps, which take next to no space;
-- `packing.py` says how. timestamp is computed from them when it is read.
CREATE TABLE IF NOT EXISTS store.samples (
    session_date DATE NOT NULL,
    series_id BIGINT NOT NULL,
    tick BIGINT NOT NULL,
    step_micros BIGINT NOT NULL,
    shift_micros BIGINT NOT NULL,
    bitrate DOUBLE,
    framerate DOUBLE,
    resolution_width DOUBLE,
    resolution_height DOUBLE,
    interval_seconds DOUBLE NOT NULL,
    "timestamp" TIMESTAMPTZ GENERATED ALWAYS AS (make_timestamptz(tick * step_micros + shift_micros)) VIRTUAL
);
