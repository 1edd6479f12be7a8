-- Grain: one row per day, network type, country, client name, client version and codec of which there is a track.
-- Where the poor tracks are. Mind n: the interval says what a share of so few tracks is worth.
--
-- network_type: Network of the client: wifi, ethernet, cellular, …; NULL where it is not known
-- country: Country, from the client's IP address; NULL where it is not known
-- client_name: The client: SDK or browser, as the source names it
-- client_version: Version of the client
-- codec: Codec of the tracks
-- tracks: Tracks, judged or not
-- n: Tracks that were judged good or poor: what the shares are of
-- poor: Poor tracks
-- poor_share: poor / n, 0 to 1; NULL where n is 0
-- poor_share_low: Lower end of the 95 % Wilson score interval of poor_share (E. B. Wilson 1927, Journal of the American
--     Statistical Association 22, 209–212); tracks of one call are not independent, so the truth may lie further off
-- poor_share_high: Upper end of that interval
-- active_seconds: Seconds with data, of all tracks
-- framerate_p5: Frame rate of the worst 5 % of the time of all camera tracks: 5 % of it lies under this whole number of
--     frames per second plus one. Screen share is left out, its frame rate follows what is shown
WITH tracks_by_client AS (
    SELECT
        quality.session_date,
        stays.network_type,
        stays.country,
        stays.client_name,
        stays.client_version,
        quality.codec,
        quality.track_kind,
        quality.class,
        quality.active_seconds,
        quality.framerate_histogram,
        dense_rank() OVER (
            ORDER BY
                quality.session_date,
                stays.network_type,
                stays.country,
                stays.client_name,
                stays.client_version,
                quality.codec
        ) AS segment
    FROM track_quality AS quality
    LEFT JOIN participant_sessions AS stays
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
),

seconds_by_framerate AS (
    SELECT
        segment,
        framerate,
        sum(seconds) AS seconds
    FROM (
        SELECT
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
        segment,
        framerate,
        sum(seconds) OVER (PARTITION BY segment ORDER BY framerate) AS seconds_up_to,
        sum(seconds) OVER (PARTITION BY segment) AS seconds_in_all
    FROM seconds_by_framerate
),

framerates AS (
    SELECT
        segment,
        min(framerate) AS framerate_p5
    FROM running
    WHERE seconds_up_to >= 0.05 * seconds_in_all AND seconds_in_all > 0
    GROUP BY segment
),

counted AS (
    SELECT
        segment,
        session_date,
        network_type,
        country,
        client_name,
        client_version,
        codec,
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
    intervals.session_date,
    intervals.network_type,
    intervals.country,
    intervals.client_name,
    intervals.client_version,
    intervals.codec,
    intervals.tracks,
    intervals.n,
    intervals.poor,
    intervals.poor_share,
    CASE
        WHEN intervals.n > 0 THEN least(intervals.poor_share, greatest(intervals.centre - intervals.margin, 0))
    END AS poor_share_low,
    CASE
        WHEN intervals.n > 0 THEN greatest(intervals.poor_share, least(intervals.centre + intervals.margin, 1))
    END AS poor_share_high,
    intervals.active_seconds,
    framerates.framerate_p5
FROM intervals
LEFT JOIN framerates ON intervals.segment = framerates.segment
