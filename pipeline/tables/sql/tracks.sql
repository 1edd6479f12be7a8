-- Grain: one row per published track. Source: `tracks(n, stay, track_id, track_type, codec)`, one row per track of a
-- response (a greater n is later), and `extents(stay, track_id, track_type, first_point, last_point, points)`,
-- one row per run of points, instants in microseconds since 1970.
WITH named AS (
    SELECT stay, track_id, track_type, arg_max(codec, n) AS codec
    FROM tracks
    GROUP BY ALL
),

counted AS (
    SELECT stay, track_id, track_type, min(first_point) AS first_point, max(last_point) AS last_point, sum(points) AS points
    FROM extents
    GROUP BY ALL
)

SELECT
    named.stay,
    named.track_id,
    named.track_type,
    named.codec,
    epoch_instant(counted.first_point) AS first_point_at,
    epoch_instant(counted.last_point) AS last_point_at,
    coalesce(counted.points, 0)::BIGINT AS points
FROM named
LEFT JOIN counted
    ON
        named.stay = counted.stay
        AND named.track_id IS NOT DISTINCT FROM counted.track_id
        AND named.track_type IS NOT DISTINCT FROM counted.track_type
ORDER BY named.stay, named.track_id, named.track_type
