-- Grain: one row per data point of participant details. Of equal instants of a series, the latest response wins.
-- Sources: `series(series, stay, side, metric, …)`, later responses after earlier ones, and `points(series, timestamp,
-- value)` in microseconds since 1970.
SELECT
    stay,
    side,
    metric,
    unit,
    epoch_instant(points.timestamp) AS "timestamp",
    value,
    step_seconds,
    track_id,
    track_type,
    codec,
    rid,
    publisher_user_id,
    publisher_user_session_id,
    label,
    thresholds
FROM points
INNER JOIN series USING (series)
QUALIFY row_number() OVER (
    PARTITION BY
        stay, side, publisher_user_id, publisher_user_session_id, track_id, track_type, rid, metric, points.timestamp
    ORDER BY series DESC
) = 1
ORDER BY
    stay ASC,
    side ASC,
    publisher_user_id ASC NULLS LAST,
    publisher_user_session_id ASC NULLS LAST,
    track_id ASC NULLS LAST,
    track_type ASC NULLS LAST,
    rid ASC NULLS LAST,
    metric ASC,
    points.timestamp ASC
