-- Grain: one row per call session. Source: `pages(n, body)` of POST /api/v2/video/call_stats; a greater n is later. Of
-- each column the latest page with a value wins: what the source leaves out later is not removed. `day` is the UTC date
-- that was requested; `belongs` is false for sessions that say they started on another. `most_publishers` is the greatest
-- count of publishers on any page. `rated_at` is when a page first had the ratings that the latest page with ratings
-- has; NULL if none has any.
--
-- A call session that had ended is live again, without an end, if a newer report counts live user sessions and has no
-- end. A page that only leaves the end out, or repeats an older report, does not remove it.
--
-- A start as float seconds is exact to a quarter of a microsecond, and rounding may move it over midnight. The source
-- compared the exact one when it listed the session for the day, so that it is moved back into the day.
WITH listed AS (
    SELECT
        n, fetched_at, stats,
        instant(stats.call_started_at) AS started_at,  -- here, since each use of the macro is planned anew
        instant(stats.call_ended_at) AS ended_at,
        instant(stats.generated_at) AS generated_at
    FROM (SELECT n, fetched_at, unnest(call_stats_body(body).call_stats) AS stats FROM pages) AS calls
),

rated AS (
    SELECT
        n, fetched_at,
        stats.call_type AS call_type,
        stats.call_id AS call_id,
        stats.call_session_id AS call_session_id,
        [stats.counts.avg_user_rating, stats.counts.min_user_rating] AS ratings
    FROM listed
    WHERE stats.counts.avg_user_rating > 0 OR stats.counts.min_user_rating > 0
),

first_rated AS (
    SELECT call_type, call_id, call_session_id, arg_max(first_at, last_n) AS rated_at
    FROM (
        SELECT call_type, call_id, call_session_id, ratings, min(fetched_at) AS first_at, max(n) AS last_n
        FROM rated
        GROUP BY ALL
    ) AS reports
    GROUP BY ALL
),

latest AS (
    SELECT
        stats.call_type AS call_type,
        stats.call_id AS call_id,
        stats.call_session_id AS call_session_id,
        arg_max(
            CASE
                WHEN
                    stats.call_started_at SIMILAR TO '\d+\.\d+'
                    AND listed.started_at BETWEEN $day::DATE - INTERVAL 1 MICROSECOND
                    AND $day::DATE + INTERVAL 1 DAY
                    THEN least(
                        greatest(listed.started_at, $day::DATE),
                        $day::DATE + INTERVAL '1 day' - INTERVAL 1 MICROSECOND
                    )
                ELSE listed.started_at
            END,
            n
        ) AS started_at,
        arg_max(listed.ended_at, n) AS last_ended_at,
        max(listed.generated_at) FILTER (WHERE listed.ended_at IS NOT NULL) AS end_reported_at,
        arg_max(
            CASE
                WHEN listed.ended_at IS NULL AND stats.counts.live_sessions > 0
                    THEN listed.generated_at
                ELSE '-infinity'::TIMESTAMPTZ
            END,
            n
        ) FILTER (WHERE stats.counts.live_sessions IS NOT NULL) AS live_reported_at,
        arg_max(listed.generated_at, n) AS generated_at,
        arg_max(stats.counts.participants, n) AS participants,
        arg_max(stats.counts.sessions, n) AS sessions,
        arg_max(stats.counts.publishers, n) AS publishers,
        max(stats.counts.publishers) AS most_publishers,
        arg_max(stats.counts.live_sessions, n) AS live_sessions,
        arg_max(stats.counts.peak_concurrent_users, n) AS peak_concurrent_users,
        arg_max(stats.counts.peak_concurrent_sessions, n) AS peak_concurrent_sessions,
        arg_max(stats.counts.sfus_used, n) AS sfus_used,
        arg_max(stats.counts.total_participant_duration, n) AS total_participant_duration_seconds,
        arg_max(stats.counts.call_event_count, n) AS call_event_count,
        arg_max(stats.counts.cq_score, n) AS cq_score,
        arg_max(stats.counts.average_jitter_ms, n) AS average_jitter_ms,
        arg_max(stats.counts.average_latency_ms, n) AS average_latency_ms,
        arg_max(stats.counts.max_freezes_duration_ms, n) AS max_freezes_duration_ms,
        arg_max(stats.counts.avg_user_rating, n) AS avg_user_rating,
        arg_max(stats.counts.min_user_rating, n) AS min_user_rating
    FROM listed
    WHERE
        stats.call_type IS NOT NULL
        AND stats.call_id IS NOT NULL
        AND stats.call_session_id IS NOT NULL
    GROUP BY ALL
)

SELECT
    $day::DATE AS session_date,
    * EXCLUDE (last_ended_at, end_reported_at, live_reported_at),
    CASE WHEN live_reported_at > end_reported_at THEN NULL ELSE last_ended_at END AS ended_at,
    call_type || ':' || call_id AS call_cid,
    ended_at IS NULL AS is_live,
    coalesce(started_at::DATE = $day::DATE, true) AS belongs
FROM latest
LEFT JOIN first_rated USING (call_type, call_id, call_session_id)
ORDER BY call_type, call_id, call_session_id
