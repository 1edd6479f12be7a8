-- Grain: one row per track and instant, the four metrics side by side. What charts and notebooks read.
-- Points of a track whose codec changed are merged. Filter by session_date or by call: it reads that part alone.
--
-- timestamp: Instant of the points
-- bitrate: As received, most likely in bits per second; NULL where the source has no such point at this instant
-- framerate: Frames per second; NULL without such a point
-- resolution_width: Pixels; NULL without such a point
-- resolution_height: Pixels; NULL without such a point
-- interval_seconds: Seconds that the points count for: until the next instant of the track; one median step of the
--     track where that is more than three steps away (the rest is no data); 0 for the last one
WITH shared AS (
    SELECT DISTINCT track_number
    FROM store.series
    WHERE series_id <> track_number
)

SELECT
    series.session_date,
    series.call_type,
    series.call_id,
    series.call_session_id,
    series.user_id,
    series.user_session_id,
    series.track_id,
    series.track_type,
    samples."timestamp",
    samples.bitrate,
    samples.framerate,
    samples.resolution_width,
    samples.resolution_height,
    samples.interval_seconds
FROM store.samples AS samples
INNER JOIN store.series AS series ON samples.series_id = series.series_id
ANTI JOIN shared ON series.track_number = shared.track_number

UNION ALL

SELECT
    any_value(series.session_date),
    any_value(series.call_type),
    any_value(series.call_id),
    any_value(series.call_session_id),
    any_value(series.user_id),
    any_value(series.user_session_id),
    any_value(series.track_id),
    any_value(series.track_type),
    samples."timestamp",
    max(samples.bitrate),
    max(samples.framerate),
    max(samples.resolution_width),
    max(samples.resolution_height),
    sum(samples.interval_seconds)
FROM store.samples AS samples
INNER JOIN store.series AS series ON samples.series_id = series.series_id
SEMI JOIN shared ON series.track_number = shared.track_number
GROUP BY series.session_date, series.track_number, samples."timestamp"
