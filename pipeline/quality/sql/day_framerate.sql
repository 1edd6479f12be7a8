-- Grain: one row per hour of a day's calls with camera pictures. Hours count from the start of the day, in UTC.
-- framerate_p5: frames per second, rounded down, that 5 % of the time of all cameras does not exceed
WITH sent AS (
    SELECT
        epoch_us(samples."timestamp") // 3600000000 - epoch_us($day::TIMESTAMP) // 3600000000 AS "hour",
        floor(samples.framerate) AS framerate,
        sum(samples.interval_seconds) AS seconds
    FROM store.samples AS samples
    INNER JOIN store.series AS series USING (session_date, series_id)
    INNER JOIN track_kinds AS kinds ON series.track_type = kinds.track_type
    WHERE
        samples.series_id BETWEEN $first AND $last
        AND series.session_date = $day
        AND samples.framerate IS NOT NULL
        AND kinds.track_kind = 'camera'
    GROUP BY ALL
),

ranked AS (
    SELECT
        "hour",
        framerate,
        sum(seconds) OVER (PARTITION BY "hour" ORDER BY framerate) AS seconds_up_to,
        sum(seconds) OVER (PARTITION BY "hour") AS seconds_total
    FROM sent
)

SELECT
    "hour",
    min(framerate)::INTEGER AS framerate_p5
FROM ranked
WHERE seconds_total > 0 AND seconds_up_to >= 0.05 * seconds_total
GROUP BY "hour"
ORDER BY "hour"
