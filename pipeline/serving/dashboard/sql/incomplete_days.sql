-- Grain: one row per day from $first to $last with an incomplete call session. What is missing of it.
--
-- incomplete_calls: Incomplete call sessions
-- live_calls: Those that were still live when last fetched
-- live_at: When that was, for the latest of them
-- stays_promised: User sessions that the source counts, in incomplete call sessions that have ended, as all that follow
-- stays_held: Those that are stored, at most as many per call session as are promised
-- windows_due: Windows without a final response
-- windows_suspect: Windows whose timestamps cannot be right
-- windows_missing: Windows not requested yet
-- windows_failed: Windows without a usable response after all retries
SELECT
    session_date,
    count(*) AS incomplete_calls,
    count(*) FILTER (calls.is_live) AS live_calls,
    max(calls.generated_at) FILTER (calls.is_live) AS live_at,
    sum(stays_promised) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS stays_promised,
    sum(least(stays_held, stays_promised)) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS stays_held,
    sum(windows_due) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS windows_due,
    sum(windows_suspect) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS windows_suspect,
    sum(windows_missing) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS windows_missing,
    sum(windows_failed) FILTER (calls.is_live IS NOT TRUE)::BIGINT AS windows_failed
FROM ingest_completeness_by_call
LEFT JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
WHERE session_date BETWEEN $first AND $last AND is_complete IS NOT TRUE
GROUP BY session_date
ORDER BY session_date
