-- Grain: one row per day of which the source can still give something. What that is, what it costs in requests, when it
-- is lost, and when a backfill of these days must start at the latest. See ledger_calls for how that is found.
--
-- calls: Call sessions with something missing; NULL for a day that was never listed
-- stays_missing: User sessions that are not stored yet and that the source can still list
-- requests: Requests that the day takes, of all endpoints
-- listing_requests: Those for lists of participants and participant statistics
-- metrics_requests: Those for metrics
-- call_list_requests: Those for the list of the day's call sessions: one per 100, and at least one
-- feedback_requests: Those for ratings
-- details_requests: Those for participant details, as CALL_METRICS_DETAILS was in the latest run
-- timeline_requests: Those for participant timelines, likewise
-- lost_from: When the source begins to drop what is missing; NULL if only metrics of known participants are missing
-- lost_until: When it has dropped all of it
-- start_by: Latest start of a backfill that saves everything of the day: it does the older days first, at the quotas that
--     the latest run saw; NULL if no quota is known yet
-- stays_lost_now: User sessions that a backfill which starts now lists too late
-- is_estimate: Whether the day was never listed, so that it counts as an average day
WITH lists AS (
    SELECT session_date, greatest(1, ceil(count(calls.session_date) / 100)) AS pages
    FROM store.loaded AS loaded
    LEFT JOIN call_sessions AS calls USING (session_date)
    WHERE loaded.table_name = 'call_sessions'
    GROUP BY session_date
),

average AS (
    SELECT ceil(coalesce(avg(pages), 1)) AS pages
    FROM lists
)

SELECT
    session_date,
    CASE WHEN NOT bool_or(is_estimate) THEN count(*) END AS calls,
    sum(stays_missing)::BIGINT AS stays_missing,
    (
        sum(listing_requests + statistics_requests + metrics_requests + feedback_requests)
        + ceil(sum(details_requests)) + ceil(sum(timeline_requests)) + any_value(coalesce(lists.pages, average.pages))
    )::BIGINT AS requests,
    sum(listing_requests + statistics_requests)::BIGINT AS listing_requests,
    sum(metrics_requests)::BIGINT AS metrics_requests,
    any_value(coalesce(lists.pages, average.pages))::BIGINT AS call_list_requests,
    sum(feedback_requests)::BIGINT AS feedback_requests,
    ceil(sum(details_requests))::BIGINT AS details_requests,
    ceil(sum(timeline_requests))::BIGINT AS timeline_requests,
    min(lost_at) FILTER (stays_missing > 0) AS lost_from,
    max(lost_at) FILTER (stays_missing > 0) AS lost_until,
    min(start_by) FILTER (stays_missing > 0) AS start_by,
    sum(stays_lost_now)::BIGINT AS stays_lost_now,
    bool_or(is_estimate) AS is_estimate
FROM ledger_calls
LEFT JOIN lists USING (session_date)
CROSS JOIN average
GROUP BY session_date
