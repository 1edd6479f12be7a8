-- Grain: one row per day, network type, country, client name, client version and codec with a published track.
-- Where the poor tracks are. Mind n: with few tracks, the interval around a share is wide.
--
-- network_type: Network of the client: wifi, ethernet, cellular, …; NULL if unknown
-- country: Country, from the client's IP address; NULL if unknown
-- client_name: The client: SDK or browser, as received
-- client_version: Version of the client
-- codec: Codec of the tracks
-- tracks: Tracks, judged or not
-- n: Tracks that were judged good or poor; the shares are shares of these
-- poor: Poor tracks
-- poor_share: poor / n, 0 to 1; NULL if n is 0
-- poor_share_low: Lower end of the 95 % Wilson score interval of poor_share (E. B. Wilson 1927, Journal of the American
--     Statistical Association 22, 209–212). Tracks of one call are not independent, so the true share may be outside
--     more often than that
-- poor_share_high: Upper end of that interval
-- active_seconds: Seconds with data, of all tracks
-- framerate_p5: Frame rate of the worst 5 % of the time of all camera tracks: 5 % of the time has fewer frames per second
--     than this whole number plus one. Without screen share, whose frame rate follows what is shown
WITH tracks_by_client AS (
    SELECT
        session_date, stays.network_type, stays.country, stays.client_name, stays.client_version, quality.codec,
        quality.track_kind,
        quality.class,
        quality.active_seconds,
        quality.framerate_histogram,
        dense_rank() OVER (
            PARTITION BY session_date
            ORDER BY
                stays.network_type, stays.country, stays.client_name, stays.client_version, quality.codec
        ) AS segment
    FROM track_quality AS quality
    LEFT JOIN participant_sessions AS stays
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
),

seconds_by_framerate AS (
    SELECT
        session_date,
        segment,
        framerate,
        sum(seconds) AS seconds
    FROM (
        SELECT
            session_date,
            segment,
            unnest(framerate_histogram) AS seconds,
            generate_subscripts(framerate_histogram, 1) - 1 AS framerate
        FROM tracks_by_client
        WHERE track_kind = 'camera'
    ) AS buckets
    GROUP BY ALL
),

running AS (
    SELECT
        session_date,
        segment,
        framerate,
        sum(seconds) OVER (PARTITION BY session_date, segment ORDER BY framerate) AS seconds_up_to,
        sum(seconds) OVER (PARTITION BY session_date, segment) AS seconds_total
    FROM seconds_by_framerate
),

framerates AS (
    SELECT
        session_date,
        segment,
        min(framerate) AS framerate_p5
    FROM running
    WHERE seconds_up_to >= 0.05 * seconds_total AND seconds_total > 0
    GROUP BY session_date, segment
),

counted AS (
    SELECT
        segment, session_date, network_type, country, client_name, client_version, codec,
        count(*) AS tracks,
        count(*) FILTER (class <> 'unclassified') AS n,
        count(*) FILTER (class = 'poor') AS poor,
        poor / nullif(n, 0) AS poor_share,
        sum(active_seconds) AS active_seconds
    FROM tracks_by_client
    GROUP BY ALL
),

intervals AS (
    SELECT
        *,
        1.959963984540054 AS z,
        (poor_share + z * z / (2 * n)) / (1 + z * z / n) AS centre,
        z * sqrt(poor_share * (1 - poor_share) / n + z * z / (4 * n * n)) / (1 + z * z / n) AS margin
    FROM counted
)

SELECT
    session_date, network_type, country, client_name, client_version, codec,
    tracks,
    n,
    poor,
    poor_share,
    -- rounding must not move an end of the interval past its share
    CASE WHEN n > 0 THEN least(poor_share, greatest(centre - margin, 0)) END AS poor_share_low,
    CASE WHEN n > 0 THEN greatest(poor_share, least(centre + margin, 1)) END AS poor_share_high,
    active_seconds,
    framerates.framerate_p5
FROM intervals
LEFT JOIN framerates USING (session_date, segment)
