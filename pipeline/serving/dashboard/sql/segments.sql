-- Grain: one row per segment of $by (network_type, country, client_name, client_version or codec), over all days from
-- $first to $last. poor_share is the share of the n judged tracks; low and high are its 95 % Wilson interval, computed
-- as in the view quality_by_segment.
WITH counted AS (
    SELECT
        coalesce(
            CASE $by
                WHEN 'network_type' THEN network_type
                WHEN 'country' THEN country
                WHEN 'client_name' THEN client_name
                WHEN 'client_version' THEN concat_ws(' ', client_name, client_version)
                WHEN 'codec' THEN codec
            END,
            'not known'
        ) AS segment,
        sum(tracks)::BIGINT AS tracks,
        sum(n)::BIGINT AS n,
        sum(poor)::BIGINT AS poor,
        round(sum(active_seconds) / 3600, 1) AS hours
    FROM quality_by_segment
    WHERE session_date BETWEEN $first AND $last
    GROUP BY ALL
),

intervals AS (
    SELECT
        *,
        poor / n AS poor_share,
        1.959963984540054 AS z,
        (poor_share + z * z / (2 * n)) / (1 + z * z / n) AS centre,
        z * sqrt(poor_share * (1 - poor_share) / n + z * z / (4 * n * n)) / (1 + z * z / n) AS margin
    FROM counted
    WHERE n > 0
)

SELECT
    segment,
    n,
    poor,
    poor_share,
    -- rounding must not move an end of the interval past its share
    least(poor_share, greatest(centre - margin, 0)) AS poor_share_low,
    greatest(poor_share, least(centre + margin, 1)) AS poor_share_high,
    tracks,
    hours
FROM intervals
ORDER BY poor_share_low DESC, segment
