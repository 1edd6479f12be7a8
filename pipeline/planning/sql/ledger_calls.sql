-- Grain: one row per call session of which the source can still give something, and one per day that was never listed.
-- What a backfill of all these days has to do before it has listed who took part, and when it must start for that.
-- A backfill runs the days in order, oldest first. Of each day it lists the participants first, then their statistics,
-- then it requests the metrics, the ratings, and what CALL_METRICS_DETAILS wants; each endpoint has a quota of its own.
-- Quotas, and that setting, are those of the latest run. With `poor`, a call that is not known to be poor counts by the
-- share of poor calls among complete ones (1 if there is none), so that its requests are a fraction.
--
-- stays_missing: User sessions that are not stored yet and that the source can still list
-- listing_requests: Requests for the list of participants: one per 100
-- statistics_requests: Requests for participant statistics: one per 100 participants
-- metrics_requests: Requests for metrics: windows that are due; of participants who are not listed yet, an estimate from
--     the publishers and durations that the source counts
-- feedback_requests: Requests for ratings: one if call_stats reports some and none is stored
-- details_requests: Requests for participant details: one per stay and hour; none of a stay that has some, or if the
--     setting is `off`. A stay that the source has no details of counts, since no table knows of it
-- timeline_requests: Requests for participant timelines: one per stay; the same holds
-- lost_at: When the source drops the list of participants: 90 days after the end of the call session
-- seconds_before: Seconds that a backfill spends on quotas before it has listed the participants; NULL if no quota is
--     known yet
-- start_by: Latest start of a backfill that lists the participants in time: lost_at less seconds_before
-- stays_lost_now: User sessions that a backfill which starts now lists too late. What earlier days lose takes no
--     requests for metrics, so that this can be 0 after start_by
-- is_estimate: Whether this is a day that was never listed: it counts as an average day, and is lost 90 days after it
--     began, at the earliest
WITH RECURSIVE quotas AS (
    SELECT
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_sessions') AS listing,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_stats') AS statistics,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_metrics') AS metrics,
        coalesce(max(try_cast(value AS DOUBLE)) FILTER (name = 'quota user_feedback'), listing) AS feedback,
        coalesce(max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_details'), metrics) AS details,
        coalesce(max(try_cast(value AS DOUBLE)) FILTER (name = 'quota participant_timeline'), metrics) AS timeline
    FROM store.meta
),

setting AS (
    SELECT coalesce(max(value) FILTER (name = 'details'), 'off') AS details
    FROM store.meta
),

poor AS (  -- see poor_calls.sql in quality/sql
    SELECT session_date, call_type, call_id, call_session_id
    FROM (
        SELECT session_date, call_type, call_id, call_session_id FROM track_quality WHERE class = 'poor'
        UNION
        SELECT session_date, call_type, call_id, call_session_id FROM call_sessions WHERE cq_score < 60
        UNION
        SELECT session_date, call_type, call_id, call_session_id FROM participant_sessions WHERE cq_score < 60
    ) AS calls
    INNER JOIN setting ON setting.details = 'poor'
),

-- Days of which details can be due. Only these are looked up in their tables, which are large.
open_days AS (
    SELECT DISTINCT session_date
    FROM ingest_completeness_by_call
    INNER JOIN setting ON setting.details <> 'off'
    WHERE NOT is_complete
),

poor_share AS (
    SELECT avg((poor.session_date IS NOT NULL)::INTEGER) AS share
    FROM ingest_completeness_by_call AS held
    LEFT JOIN poor USING (session_date, call_type, call_id, call_session_id)
    WHERE held.is_complete
),

-- Of each call: whether the setting chooses it: 1, 0, or how likely that is.
chosen AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        CASE setting.details
            WHEN 'all' THEN 1
            WHEN 'poor' THEN CASE
                WHEN poor.session_date IS NOT NULL THEN 1
                WHEN held.is_complete THEN 0
                ELSE coalesce(poor_share.share, 1)
            END
            ELSE 0
        END AS chosen
    FROM ingest_completeness_by_call AS held
    LEFT JOIN poor USING (session_date, call_type, call_id, call_session_id)
    CROSS JOIN poor_share
    CROSS JOIN setting
),

-- Of each call: the hours of the stays that are stored, begun ones too, and what is not requested yet.
held_stays AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        sum(hours) AS hours,
        count(*) AS stays,
        sum(hours) FILTER (detailed.session_date IS NULL) AS hours_due,
        count(*) FILTER (timed.session_date IS NULL) AS timelines_due
    FROM (
        SELECT
            people.*,
            coalesce(people.joined_at, calls.started_at) AS since,
            CASE WHEN people.left_at >= since THEN people.left_at ELSE calls.ended_at END AS until,
            greatest(1, ceil((epoch(until) - epoch(since)) / 3600)) AS hours
        FROM participant_sessions AS people
        INNER JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
    ) AS people
    LEFT JOIN (
        SELECT DISTINCT session_date, call_type, call_id, call_session_id, user_id, user_session_id
        FROM detail_points
        SEMI JOIN open_days USING (session_date)
    ) AS detailed USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    LEFT JOIN (
        SELECT DISTINCT session_date, call_type, call_id, call_session_id, user_id, user_session_id
        FROM timeline_events
        SEMI JOIN open_days USING (session_date)
    ) AS timed USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    GROUP BY ALL
),

rated AS (
    SELECT DISTINCT session_date, call_type, call_id, call_session_id
    FROM user_ratings
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
        ) AS windows_unknown,
        CASE
            WHEN held.stays_held >= 20 THEN held_stays.hours / held_stays.stays
            WHEN mean_windows >= 0.95 * call_windows THEN greatest(1, ceil(mean_windows / 2 - 1e-3))
            ELSE greatest(1, coalesce(mean_windows / 2 + 0.5, 1))
        END * stays_unknown AS hours_unknown,
        chosen.chosen,
        coalesce(held_stays.hours, 0) AS hours_held,
        coalesce(held_stays.hours_due, 0) AS hours_due,
        coalesce(held_stays.timelines_due, 0) AS timelines_due,
        (coalesce(calls.avg_user_rating > 0, false) OR coalesce(calls.min_user_rating > 0, false))::INTEGER AS is_rated,
        CASE WHEN rated.session_date IS NULL THEN is_rated ELSE 0 END AS feedback_due
    FROM ingest_completeness_by_call AS held
    INNER JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
    INNER JOIN chosen USING (session_date, call_type, call_id, call_session_id)
    LEFT JOIN held_stays USING (session_date, call_type, call_id, call_session_id)
    LEFT JOIN rated USING (session_date, call_type, call_id, call_session_id)
    WHERE NOT coalesce(calls.is_live, false)
),

incomplete AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        CASE WHEN forgotten_at > now() THEN stays_unknown ELSE 0 END AS stays_missing,
        CASE WHEN stays_missing > 0 THEN pages ELSE 0 END AS listing_requests,
        listing_requests AS statistics_requests,
        windows_due + CASE WHEN stays_missing > 0 THEN windows_unknown ELSE 0 END AS metrics_requests,
        feedback_due AS feedback_requests,
        chosen * (hours_due + CASE WHEN stays_missing > 0 THEN hours_unknown ELSE 0 END) AS details_requests,
        chosen * (timelines_due + stays_missing) AS timeline_requests,
        windows_due AS metrics_known,
        chosen * hours_due AS details_known,
        chosen * timelines_due AS timelines_known,
        forgotten_at AS lost_at,
        false AS is_estimate
    FROM sizes
    WHERE NOT is_complete
),

average AS (
    SELECT
        avg(stays) AS stays,
        avg(pages) AS pages,
        avg(windows) AS windows,
        avg(feedback) AS feedback,
        avg(details) AS details,
        avg(timelines) AS timelines
    FROM (
        SELECT
            sum(sizes.stays_promised) AS stays,
            sum(sizes.pages) AS pages,
            sum(sizes.windows_expected + sizes.windows_unknown) AS windows,
            sum(sizes.is_rated) AS feedback,
            sum(sizes.chosen * (sizes.hours_held + sizes.hours_unknown)) AS details,
            sum(sizes.chosen * sizes.stays_promised) AS timelines
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
    ANTI JOIN (  -- days that were listed, and removed since
        SELECT try_cast(unnest(string_split(value, ' ')) AS DATE) AS session_date
        FROM store.meta
        WHERE name = 'pruned'
    ) AS pruned USING (session_date)
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
        ceil(average.feedback) AS feedback_requests,
        ceil(average.details) AS details_requests,
        ceil(average.timelines) AS timeline_requests,
        0 AS metrics_known,
        0 AS details_known,
        0 AS timelines_known,
        session_date::TIMESTAMP AT TIME ZONE 'UTC' + INTERVAL 90 DAY AS lost_at,
        true AS is_estimate
    FROM never_listed
    CROSS JOIN average
),

listed AS (
    SELECT
        *,
        sum(listing_requests) OVER earlier_calls AS listed_so_far,
        -- Minutes for participants who are stored already, and for the others, which are spent only if they are listed.
        metrics_known / quotas.metrics + details_known / quotas.details + timelines_known / quotas.timeline
            AS minutes_known,
        metrics_requests / quotas.metrics + details_requests / quotas.details + timeline_requests / quotas.timeline
        - minutes_known AS minutes_unknown,
        greatest(0, listed_so_far / quotas.listing - 1) AS minutes_until_listed,
        (epoch(lost_at) - epoch(now())) / 60 - minutes_until_listed AS minutes_left
    FROM demands
    CROSS JOIN quotas
    WINDOW earlier_calls AS (
        PARTITION BY session_date
        ORDER BY lost_at, call_type, call_id, call_session_id
        ROWS UNBOUNDED PRECEDING
    )
),

days AS (
    SELECT
        session_date,
        row_number() OVER (ORDER BY session_date) AS number,
        -- A minute's quota of lists is there at once, since it was not used meanwhile; what exceeds it waits.
        greatest(0, sum(listing_requests) / any_value(listing) - 1)
        + greatest(0, sum(statistics_requests) / any_value(statistics) - 1)
        + greatest(0, sum(feedback_requests) / any_value(feedback) - 1)
        + sum(minutes_known) AS minutes_always,
        list({'left': minutes_left, 'unknown': minutes_unknown}) AS calls,
        CASE
            WHEN any_value(metrics) > 0
                THEN coalesce(sum(minutes_always + sum(minutes_unknown)) OVER earlier_days, 0)
        END AS minutes_before
    FROM listed
    GROUP BY session_date
    WINDOW earlier_days AS (ORDER BY session_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),

-- Of each day: the minutes that a backfill which starts now spends on the days before, day by day: what one day loses
-- decides when the next one begins.
started_now AS (
    SELECT 1::BIGINT AS number, 0::DOUBLE AS minutes
    UNION ALL
    SELECT
        days.number + 1,
        started_now.minutes
        + days.minutes_always
        + coalesce(list_sum([call.unknown FOR call IN days.calls IF call.left >= started_now.minutes]), 0)
    FROM started_now
    INNER JOIN days USING (number)
)

SELECT
    session_date, call_type, call_id, call_session_id,
    stays_missing::BIGINT AS stays_missing,
    listing_requests::BIGINT AS listing_requests,
    statistics_requests::BIGINT AS statistics_requests,
    metrics_requests::BIGINT AS metrics_requests,
    feedback_requests::BIGINT AS feedback_requests,
    details_requests::DOUBLE AS details_requests,
    timeline_requests::DOUBLE AS timeline_requests,
    lost_at,
    60 * (days.minutes_before + listed.minutes_until_listed) AS seconds_before,
    lost_at - to_microseconds((seconds_before * 1e6)::BIGINT) AS start_by,
    CASE WHEN listed.minutes_left < started_now.minutes THEN stays_missing ELSE 0 END::BIGINT AS stays_lost_now,
    is_estimate
FROM listed
INNER JOIN days USING (session_date)
INNER JOIN started_now USING (number)
