-- Grain: one row per day from $first to $last, including days without stored data. What happened, how good it was, and
-- how much of it is stored. A publisher counts once per call.
--
-- poor_share: Poor publishers as a share of those who could be judged; NULL if no one could
-- windows_due_or_suspect: Windows without a final response, or whose timestamps cannot be right
-- stays_missing: User sessions that the source counts and that are not stored; erased people are not counted
WITH quality AS (
    SELECT
        session_date,
        sum(users)::BIGINT AS users,
        sum(good_publishers)::BIGINT AS good_publishers,
        sum(poor_publishers)::BIGINT AS poor_publishers,
        sum(unclassified_publishers)::BIGINT AS unclassified_publishers,
        round(avg(cq_score), 1) AS source_score
    FROM call_quality
    WHERE session_date BETWEEN $first AND $last
    GROUP BY session_date
),

completeness AS (
    SELECT
        session_date,
        count(*) AS calls,
        count(*) FILTER (is_complete) AS complete_calls,
        sum(windows_due + windows_suspect)::BIGINT AS windows_due_or_suspect,
        sum(greatest(stays_promised - stays_held, 0))::BIGINT AS stays_missing
    FROM ingest_completeness_by_call
    WHERE session_date BETWEEN $first AND $last
    GROUP BY session_date
)

SELECT
    days.session_date::DATE AS session_date,
    coalesce(completeness.calls, 0) AS calls,
    coalesce(completeness.complete_calls, 0) AS complete_calls,
    quality.users,
    quality.good_publishers,
    quality.poor_publishers,
    quality.unclassified_publishers,
    quality.poor_publishers / nullif(quality.poor_publishers + quality.good_publishers, 0) AS poor_share,
    quality.source_score,
    completeness.windows_due_or_suspect,
    completeness.stays_missing,
    ingested.days_until_forgotten
FROM range($first::DATE::TIMESTAMP, $last::DATE::TIMESTAMP + INTERVAL 1 DAY, INTERVAL 1 DAY) AS days (session_date)
LEFT JOIN quality ON days.session_date::DATE = quality.session_date
LEFT JOIN completeness ON days.session_date::DATE = completeness.session_date
LEFT JOIN ingest_completeness AS ingested ON days.session_date::DATE = ingested.session_date
ORDER BY days.session_date
