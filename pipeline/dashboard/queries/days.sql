-- Grain: one row per day from $first to $last. What happened and how good it was, beside how much of it is here.
-- A publisher counts once per call; poor_share is of those who could be judged, and NULL where nobody could.
SELECT
    ingested.session_date,
    ingested.calls,
    ingested.live_calls,
    coalesce(sum(quality.users), 0)::BIGINT AS users,
    coalesce(sum(quality.good_publishers), 0)::BIGINT AS good_publishers,
    coalesce(sum(quality.poor_publishers), 0)::BIGINT AS poor_publishers,
    coalesce(sum(quality.unclassified_publishers), 0)::BIGINT AS unclassified_publishers,
    sum(quality.poor_publishers) / nullif(sum(quality.poor_publishers + quality.good_publishers), 0) AS poor_share,
    round(avg(quality.cq_score), 1) AS source_score,
    ingested.windows_expected,
    ingested.windows_failed + ingested.windows_missing AS windows_open,
    ingested.stays_held,
    ingested.stays_promised,
    ingested.days_until_forgotten
FROM ingest_completeness AS ingested
LEFT JOIN call_quality AS quality USING (session_date)
WHERE ingested.session_date BETWEEN $first AND $last
GROUP BY ALL
ORDER BY session_date
