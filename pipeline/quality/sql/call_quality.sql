-- Grain: one row per call session. How many publishers had a bad call, and whether they had it at the same time, which
-- points to the call or its media server rather than to one person's network.
-- Publishers and users are people here: all user sessions of a user in the call count as one.
--
-- started_at: When the session started
-- ended_at: When the session ended; NULL while it is live
-- publishers: Users with a published track
-- poor_publishers: Publishers with a poor track
-- good_publishers: Other publishers with a good track
-- unclassified_publishers: All other publishers; they are in no share
-- poor_share: Poor publishers, as a share of those poor or good, 0 to 1; NULL if no publisher could be judged
-- peak_publishers_low: Most publishers with a frame rate under the low_framerate of its kind at the same instant
-- peak_publishers_low_at: The first such instant
-- users: Users who took part
-- user_sessions: Their user sessions
-- user_sessions_per_user: User sessions per user: 1 if all stayed without coming back
-- rejoins: User sessions that began after another one of the same user had ended
-- rejoin_gap_seconds_p50: Median seconds between leaving and rejoining
-- rejoin_gap_seconds_max: Longest time between leaving and rejoining, in seconds
-- warnings: Warnings on all tracks
-- quality_score: Our score, 0 to 100: 100 times the share of good publishers among those judged
-- cq_score: The source's own call-quality score, 0 to 100; its formula is not documented
WITH people AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id,
        sum(tracks) AS tracks,
        bool_or(class = 'poor') AS is_poor,
        bool_or(class = 'good') AS is_good,
        count(*) AS stays,
        sum(warnings) AS warnings
    FROM participant_quality
    GROUP BY ALL
),

classed AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        count(*) FILTER (tracks > 0) AS publishers,
        count(*) FILTER (is_poor) AS poor_publishers,
        count(*) FILTER (is_good AND NOT is_poor) AS good_publishers,
        count(*) AS users,
        sum(stays)::BIGINT AS user_sessions,
        sum(warnings)::BIGINT AS warnings
    FROM people
    GROUP BY ALL
),

stays AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        epoch(joined_at) - epoch(max(left_at) OVER (
            PARTITION BY session_date, call_type, call_id, call_session_id, user_id
            ORDER BY joined_at, user_session_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )) AS away_seconds
    FROM participant_sessions
),

rejoined AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        count(*) AS rejoins,
        median(away_seconds) AS gap_p50,
        max(away_seconds) AS gap_max
    FROM stays
    WHERE away_seconds >= 0
    GROUP BY ALL
),

-- The peak: how many publishers are low at once. Calls and publishers are numbered within their day, so that windows and
-- groups are over numbers and not over three or four texts, and a filter on session_date reads only its day.
limits AS NOT MATERIALIZED (
    SELECT
        series.session_date,
        series.series_id,
        dense_rank() OVER (
            PARTITION BY series.session_date
            ORDER BY series.call_type, series.call_id, series.call_session_id
        ) AS call_number,
        dense_rank() OVER (
            PARTITION BY series.session_date
            ORDER BY series.call_type, series.call_id, series.call_session_id, series.user_id
        ) AS publisher,
        thresholds.low_framerate
    FROM store.series AS series
    INNER JOIN track_kinds AS kinds USING (track_type)
    INNER JOIN quality_thresholds AS thresholds USING (track_kind)
),

low AS (
    SELECT
        session_date,
        limits.call_number,
        limits.publisher,
        epoch_us(samples."timestamp") AS since,
        epoch_us(samples."timestamp") + (samples.interval_seconds * 1000000)::BIGINT AS until
    FROM store.samples AS samples
    INNER JOIN limits USING (session_date, series_id)
    WHERE
        samples.framerate < limits.low_framerate
        -- Follows from the line before. It is tested before the join, which takes most of the time.
        AND samples.framerate < (SELECT max(low_framerate) FROM quality_thresholds)
        AND samples.interval_seconds > 0
),

edges AS (
    SELECT session_date, call_number, publisher, unnest([since, until]) AS instant, unnest([1, -1]) AS change
    FROM low
),

turns AS (
    SELECT session_date, call_number, publisher, instant, sum(change) AS change
    FROM edges
    GROUP BY ALL
    HAVING sum(change) <> 0
),

-- A publisher can have several low tracks at once, and counts as one.
low_tracks AS (
    SELECT
        session_date,
        call_number,
        instant,
        change,
        sum(change) OVER (PARTITION BY session_date, publisher ORDER BY instant) AS now_low
    FROM turns
),

publishers_turning AS (
    SELECT
        session_date,
        call_number,
        instant,
        sum((now_low > 0)::INTEGER - (now_low - change > 0)::INTEGER) AS change
    FROM low_tracks
    GROUP BY ALL
),

publishers_low AS (
    SELECT
        session_date,
        call_number,
        instant,
        sum(change) OVER (PARTITION BY session_date, call_number ORDER BY instant) AS now_low
    FROM publishers_turning
),

peaks AS (
    SELECT
        session_date,
        call_number,
        max(now_low)::BIGINT AS peak,
        to_timestamp(first(instant ORDER BY now_low DESC, instant ASC) / 1e6) AS peak_at
    FROM publishers_low
    GROUP BY session_date, call_number
),

peaks_by_call AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        any_value(peaks.peak) AS peak,
        any_value(peaks.peak_at) AS peak_at
    FROM limits
    INNER JOIN peaks USING (session_date, call_number)
    INNER JOIN store.series AS series USING (session_date, series_id)
    GROUP BY ALL
)

SELECT
    session_date, call_type, call_id, call_session_id,
    calls.started_at,
    calls.ended_at,
    coalesce(classed.publishers, 0) AS publishers,
    coalesce(classed.poor_publishers, 0) AS poor_publishers,
    coalesce(classed.good_publishers, 0) AS good_publishers,
    coalesce(classed.publishers - classed.poor_publishers - classed.good_publishers, 0) AS unclassified_publishers,
    classed.poor_publishers / nullif(classed.poor_publishers + classed.good_publishers, 0) AS poor_share,
    coalesce(peaks_by_call.peak, 0) AS peak_publishers_low,
    peaks_by_call.peak_at AS peak_publishers_low_at,
    coalesce(classed.users, 0) AS users,
    coalesce(classed.user_sessions, 0) AS user_sessions,
    classed.user_sessions / nullif(classed.users, 0) AS user_sessions_per_user,
    coalesce(rejoined.rejoins, 0) AS rejoins,
    rejoined.gap_p50 AS rejoin_gap_seconds_p50,
    rejoined.gap_max AS rejoin_gap_seconds_max,
    coalesce(classed.warnings, 0) AS warnings,
    100 * (1 - poor_share) AS quality_score,
    calls.cq_score
FROM call_sessions AS calls
LEFT JOIN classed USING (session_date, call_type, call_id, call_session_id)
LEFT JOIN rejoined USING (session_date, call_type, call_id, call_session_id)
LEFT JOIN peaks_by_call USING (session_date, call_type, call_id, call_session_id)
