-- Grain: one row per call session of which the source can still give something, and one per day that was never listed.
-- What a backfill of all these days has to do before it has listed who took part, and when it must start for that.
-- A backfill runs the days in order, oldest first. Of each day it lists the participants first, then their statistics,
-- then it requests the metrics; each endpoint has a quota of its own. Quotas are those that the latest run saw.
--
-- stays_missing: User sessions that are not stored yet and that the source can still list
-- listing_requests: Requests for the list of participants: one per 100
-- statistics_requests: Requests for participant statistics: one per 100 participants
-- metrics_requests: Requests for metrics: windows that are due; of participants who are not listed yet, an estimate from
--     the publishers and durations that the source counts
-- lost_at: When the source drops the list of participants: 90 days after the end of the call session
-- seconds_before: Seconds that a backfill spends on quotas before it has listed the participants; NULL if no quota is
--     known yet
-- start_by: Latest start of a backfill that lists the participants in time: lost_at less seconds_before
-- is_estimate: Whether this is a day that was never listed: it counts as an average day, and is lost 90 days after it
--     began, at the earliest
WITH quotas AS (
    SELECT
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_sessions') AS listing,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_stats') AS statistics,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_metrics') AS metrics
    FROM store.meta
),

sizes AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        held.stays_promised,
        held.stays_held,
        held.is_complete,
        held.windows_due,
        held.windows_expected,
        held.forgotten_at,
        greatest(1, ceil(held.stays_promised / 100)) AS pages,
        greatest(0, held.stays_promised - held.stays_held) AS stays_unknown,
        calls.total_participant_duration_seconds / nullif(calls.sessions, 0) / 1800 AS mean_windows,
        (epoch(calls.ended_at) - epoch(calls.started_at)) / 1800 AS call_windows,
        least(1, coalesce(calls.publishers / nullif(calls.participants, 0), 1)) AS publishing,
        ceil(
            stays_unknown
            * CASE
                WHEN held.stays_held >= 20 THEN held.windows_expected / held.stays_held
                -- Whoever stays for the whole call has whole windows; otherwise the last one is half used, on average.
                WHEN mean_windows >= 0.95 * call_windows THEN publishing * greatest(1, ceil(mean_windows - 1e-3))
                ELSE publishing * greatest(1, coalesce(mean_windows + 0.5, 1))
            END
        ) AS windows_unknown
    FROM ingest_completeness_by_call AS held
    INNER JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
    WHERE NOT coalesce(calls.is_live, false)
),

incomplete AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        CASE WHEN forgotten_at > now() THEN stays_unknown ELSE 0 END AS stays_missing,
        CASE WHEN stays_missing > 0 THEN pages ELSE 0 END AS listing_requests,
        listing_requests AS statistics_requests,
        windows_due + CASE WHEN stays_missing > 0 THEN windows_unknown ELSE 0 END AS metrics_requests,
        forgotten_at AS lost_at,
        false AS is_estimate
    FROM sizes
    WHERE NOT is_complete
),

average AS (
    SELECT
        avg(stays) AS stays,
        avg(pages) AS pages,
        avg(windows) AS windows
    FROM (
        SELECT
            sum(sizes.stays_promised) AS stays,
            sum(sizes.pages) AS pages,
            sum(sizes.windows_expected + sizes.windows_unknown) AS windows
        FROM store.loaded AS loaded
        LEFT JOIN sizes USING (session_date)
        WHERE loaded.table_name = 'call_sessions'
        GROUP BY loaded.session_date
    ) AS days
),

never_listed AS (
    SELECT days.session_date
    FROM (
        SELECT unnest(generate_series(first.day, (now() AT TIME ZONE 'UTC')::DATE - INTERVAL 1 DAY, INTERVAL 1 DAY))::DATE
            AS session_date
        FROM (
            SELECT greatest(try_cast(value AS DATE), (now() AT TIME ZONE 'UTC')::DATE - 90)::TIMESTAMP AS day
            FROM store.meta
            WHERE name = 'start'
        ) AS first
    ) AS days
    ANTI JOIN (SELECT session_date FROM store.loaded WHERE table_name = 'call_sessions') AS loaded
        USING (session_date)
),

demands AS (
    SELECT * FROM incomplete
    UNION ALL BY NAME
    SELECT
        session_date,
        round(average.stays) AS stays_missing,
        ceil(average.pages) AS listing_requests,
        ceil(average.pages) AS statistics_requests,
        ceil(average.windows) AS metrics_requests,
        session_date::TIMESTAMP AT TIME ZONE 'UTC' + INTERVAL 90 DAY AS lost_at,
        true AS is_estimate
    FROM never_listed
    CROSS JOIN average
),

days AS (
    SELECT
        session_date,
        -- A minute's quota of lists is there at once, since it was not used meanwhile; what exceeds it waits.
        greatest(0, sum(listing_requests) / max(quotas.listing) - 1)
        + greatest(0, sum(statistics_requests) / max(quotas.statistics) - 1) AS listing_minutes,
        sum(metrics_requests) AS metrics
    FROM demands
    CROSS JOIN quotas
    GROUP BY session_date
),

before AS (
    SELECT
        session_date,
        coalesce(sum(listing_minutes) OVER earlier, 0) AS listing_minutes,
        coalesce(sum(metrics) OVER earlier, 0) AS metrics
    FROM days
    WINDOW earlier AS (ORDER BY session_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),

listed AS (
    SELECT
        *,
        sum(listing_requests) OVER (
            PARTITION BY session_date
            ORDER BY lost_at, call_type, call_id, call_session_id
            ROWS UNBOUNDED PRECEDING
        ) AS listed_so_far
    FROM demands
)

SELECT
    session_date, call_type, call_id, call_session_id,
    stays_missing::BIGINT AS stays_missing,
    listing_requests::BIGINT AS listing_requests,
    statistics_requests::BIGINT AS statistics_requests,
    metrics_requests::BIGINT AS metrics_requests,
    lost_at,
    60 * (
        before.listing_minutes
        + greatest(0, listed.listed_so_far / quotas.listing - 1)
        + before.metrics / quotas.metrics
    ) AS seconds_before,
    lost_at - to_microseconds((seconds_before * 1e6)::BIGINT) AS start_by,
    is_estimate
FROM listed
INNER JOIN before USING (session_date)
CROSS JOIN quotas
