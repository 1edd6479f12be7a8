-- Grain: one row per track and instant, with the four metrics side by side. For charts and notebooks.
-- Points of a track whose codec changed are merged. With a filter on session_date or on the call, it reads only that
-- part of the data.
--
-- timestamp: Instant of the points
-- bitrate: As received, most likely in bits per second; NULL if the source has no such point at this instant
-- framerate: Frames per second; NULL without such a point
-- resolution_width: Pixels; NULL without such a point
-- resolution_height: Pixels; NULL without such a point
-- interval_seconds: Seconds that the points count for: until the next instant of the track, or one median step of the
--     track if the next is more than three steps away (the rest is no data); 0 for the last instant
WITH merged AS (
    SELECT
        series.session_date,
        series.track_number,
        samples."timestamp",
        min(samples.series_id) AS series_id,
        max(samples.bitrate) AS bitrate,
        max(samples.framerate) AS framerate,
        max(samples.resolution_width) AS resolution_width,
        max(samples.resolution_height) AS resolution_height,
        max(samples.interval_seconds) AS interval_seconds
    FROM store.samples AS samples
    INNER JOIN store.series AS series USING (session_date, series_id)
    WHERE series.shares_track
    GROUP BY series.session_date, series.track_number, samples."timestamp"
)

SELECT
    series.* EXCLUDE (series_id, codec, track_number, shares_track),
    samples."timestamp",
    coalesce(samples.bitrate, merged.bitrate) AS bitrate,
    coalesce(samples.framerate, merged.framerate) AS framerate,
    coalesce(samples.resolution_width, merged.resolution_width) AS resolution_width,
    coalesce(samples.resolution_height, merged.resolution_height) AS resolution_height,
    coalesce(merged.interval_seconds, samples.interval_seconds) AS interval_seconds
FROM store.samples AS samples
INNER JOIN store.series AS series
    ON samples.session_date = series.session_date AND samples.series_id = series.series_id
LEFT JOIN merged
    ON
        series.session_date = merged.session_date
        AND series.track_number = merged.track_number
        AND samples."timestamp" = merged."timestamp"
-- An instant with samples of several series has one row, for the first of them.
WHERE merged.series_id IS NULL OR merged.series_id = samples.series_id
