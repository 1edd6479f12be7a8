-- Grain: one row per track and minute (UTC) with a point or a part of an interval. For dashboards.
-- Averages are time-weighted, with the intervals of track_samples. An interval that ends after its minute counts in
-- each minute with the part in that minute.
--
-- minute: Start of the minute
-- active_seconds: Seconds of the minute with data, at most 60
-- bitrate_mean: Time-weighted mean of bitrate, as received; NULL without time
-- bitrate_min: Lowest bitrate
-- bitrate_max: Highest bitrate
-- framerate_mean: Time-weighted mean, frames per second; NULL without time, as for audio
-- framerate_min: Lowest frame rate
-- framerate_max: Highest frame rate
-- resolution_width_mean: Time-weighted mean, pixels
-- resolution_width_min: Smallest width, pixels
-- resolution_width_max: Largest width, pixels
-- resolution_height_mean: Time-weighted mean, pixels
-- resolution_height_min: Smallest height, pixels
-- resolution_height_max: Largest height, pixels
WITH later_minutes AS (
    SELECT
        *,
        epoch_us("timestamp") % 60000000 + (interval_seconds * 1000000)::BIGINT - 60000000 AS micros_after,
        unnest(range(1, 1 + (micros_after + 59999999) // 60000000)) AS minutes_on
    FROM store.samples
    -- Without a cast to whole numbers, which takes a tenth of the view's time. It may keep a row with no micros_after;
    -- such a row has no later minute.
    WHERE epoch_us("timestamp") % 60000000 > 60000000 - interval_seconds * 1000000
),

parts AS (
    SELECT
        session_date,
        series_id,
        epoch_us("timestamp") // 60000000 AS minute_number,
        least(interval_seconds, (60000000 - epoch_us("timestamp") % 60000000) / 1000000) AS seconds,
        bitrate, framerate, resolution_width, resolution_height
    FROM store.samples
    UNION ALL
    SELECT
        session_date,
        series_id,
        epoch_us("timestamp") // 60000000 + minutes_on,
        least(micros_after - 60000000 * (minutes_on - 1), 60000000) / 1000000,
        bitrate, framerate, resolution_width, resolution_height
    FROM later_minutes
),

minutes AS (
    SELECT
        series.session_date,
        series.track_number,
        parts.minute_number,
        sum(parts.seconds) AS active_seconds,
        sum(parts.bitrate * parts.seconds)
        / nullif(sum(parts.seconds) FILTER (parts.bitrate IS NOT NULL), 0) AS bitrate_mean,
        min(parts.bitrate) AS bitrate_min,
        max(parts.bitrate) AS bitrate_max,
        sum(parts.framerate * parts.seconds)
        / nullif(sum(parts.seconds) FILTER (parts.framerate IS NOT NULL), 0) AS framerate_mean,
        min(parts.framerate) AS framerate_min,
        max(parts.framerate) AS framerate_max,
        sum(parts.resolution_width * parts.seconds)
        / nullif(sum(parts.seconds) FILTER (parts.resolution_width IS NOT NULL), 0) AS resolution_width_mean,
        min(parts.resolution_width) AS resolution_width_min,
        max(parts.resolution_width) AS resolution_width_max,
        sum(parts.resolution_height * parts.seconds)
        / nullif(sum(parts.seconds) FILTER (parts.resolution_height IS NOT NULL), 0) AS resolution_height_mean,
        min(parts.resolution_height) AS resolution_height_min,
        max(parts.resolution_height) AS resolution_height_max
    FROM parts
    INNER JOIN store.series AS series ON parts.session_date = series.session_date AND parts.series_id = series.series_id
    GROUP BY series.session_date, series.track_number, parts.minute_number
)

SELECT
    minutes.session_date,
    tracks.* EXCLUDE (series_id, session_date, codec, track_number, shares_track),
    to_timestamp(minutes.minute_number * 60) AS "minute",
    minutes.* EXCLUDE (session_date, track_number, minute_number)
FROM minutes
INNER JOIN store.series AS tracks
    ON minutes.session_date = tracks.session_date AND minutes.track_number = tracks.series_id
