-- Grain: one row per track and minute (UTC) for which there is a point or a part of an interval. What dashboards read.
-- Averages are time-weighted, with the intervals of track_samples; one that goes past the end of its minute counts in
-- each minute with the part that lies there.
--
-- minute: Start of the minute
-- active_seconds: Seconds of the minute with data, at most 60
-- bitrate_mean: Time-weighted mean of bitrate, as received; NULL without time
-- bitrate_min: Least bitrate
-- bitrate_max: Greatest bitrate
-- framerate_mean: Time-weighted mean, frames per second; NULL without time, as for audio
-- framerate_min: Least frame rate
-- framerate_max: Greatest frame rate
-- resolution_width_mean: Time-weighted mean, pixels
-- resolution_width_min: Least width, pixels
-- resolution_width_max: Greatest width, pixels
-- resolution_height_mean: Time-weighted mean, pixels
-- resolution_height_min: Least height, pixels
-- resolution_height_max: Greatest height, pixels
WITH instants AS (
    SELECT
        * EXCLUDE ("timestamp"),
        epoch_us("timestamp") AS instant,
        epoch_us("timestamp") // 60000000 AS minute_number,
        60 - (epoch_us("timestamp") % 60000000) / 1e6 AS rest_of_minute
    FROM store.samples
),

later_minutes AS (
    SELECT
        *,
        unnest(range(1, 1 + ceil((interval_seconds - rest_of_minute) / 60)::BIGINT)) AS minutes_on
    FROM instants
    WHERE interval_seconds > rest_of_minute
),

parts AS (
    SELECT
        series_id,
        minute_number,
        least(interval_seconds, rest_of_minute) AS seconds,
        bitrate,
        framerate,
        resolution_width,
        resolution_height
    FROM instants
    UNION ALL
    SELECT
        series_id,
        minute_number + minutes_on,
        least(interval_seconds - rest_of_minute - 60 * (minutes_on - 1), 60),
        bitrate,
        framerate,
        resolution_width,
        resolution_height
    FROM later_minutes
),

minutes AS (
    SELECT
        series.track_number,
        parts.minute_number,
        sum(parts.seconds) AS active_seconds,
        sum(parts.bitrate * parts.seconds) / nullif(sum(parts.seconds) FILTER (parts.bitrate IS NOT NULL), 0) AS bitrate_mean,
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
    INNER JOIN store.series AS series ON parts.series_id = series.series_id
    GROUP BY series.track_number, parts.minute_number
)

SELECT
    tracks.session_date,
    tracks.call_type,
    tracks.call_id,
    tracks.call_session_id,
    tracks.user_id,
    tracks.user_session_id,
    tracks.track_id,
    tracks.track_type,
    to_timestamp(minutes.minute_number * 60) AS "minute",
    minutes.* EXCLUDE (track_number, minute_number)
FROM minutes
INNER JOIN store.series AS tracks ON minutes.track_number = tracks.series_id
