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
WITH merged AS (
    SELECT
        series.track_number,
        samples."timestamp",
        min(samples.series_id) AS series_id,
        max(samples.bitrate) AS bitrate,
        max(samples.framerate) AS framerate,
        max(samples.resolution_width) AS resolution_width,
        max(samples.resolution_height) AS resolution_height,
        max(samples.interval_seconds) AS interval_seconds
    FROM store.samples AS samples
    INNER JOIN store.series AS series ON samples.series_id = series.series_id
    WHERE series.shares_track
    GROUP BY series.track_number, samples."timestamp"
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
    coalesce(samples.bitrate, merged.bitrate) AS bitrate,
    coalesce(samples.framerate, merged.framerate) AS framerate,
    coalesce(samples.resolution_width, merged.resolution_width) AS resolution_width,
    coalesce(samples.resolution_height, merged.resolution_height) AS resolution_height,
    coalesce(merged.interval_seconds, samples.interval_seconds) AS interval_seconds
FROM store.samples AS samples
INNER JOIN store.series AS series ON samples.series_id = series.series_id
LEFT JOIN merged ON series.track_number = merged.track_number AND samples."timestamp" = merged."timestamp"
WHERE merged.series_id IS NULL OR merged.series_id = samples.series_id
