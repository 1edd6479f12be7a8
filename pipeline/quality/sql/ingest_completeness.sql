-- Grain: one row per day with anything stored. What is stored of it, what is missing, and how long it can still be
-- fetched. States of windows are those of the table windows.
--
-- calls: Call sessions
-- live_calls: Call sessions that were still live when last fetched
-- stays_promised: User sessions that the source counts, without erased people
-- stays_held: User sessions stored
-- windows_expected: Windows that should exist
-- windows_landed: Windows with data points
-- windows_empty: Windows without data points
-- windows_gone: Windows that the source does not know (404)
-- windows_suspect: Windows whose timestamps cannot be right; kept raw, not loaded
-- windows_failed: Windows without a usable response after all retries
-- windows_missing: Windows not requested yet
-- newest_fetch_at: When the newest response for a window came
-- hours_since_newest_fetch: Hours from then until now
-- forgotten_at: When the source has dropped the participants of all of the day's calls: 90 days after the last one ended
-- days_until_forgotten: Days from now until then, below 0 afterwards; NULL if no call has ended
WITH by_state AS (
    SELECT
        session_date,
        count(*) AS windows_expected,
        count(*) FILTER (state = 'landed') AS windows_landed,
        count(*) FILTER (state = 'empty') AS windows_empty,
        count(*) FILTER (state = 'gone') AS windows_gone,
        count(*) FILTER (state = 'suspect') AS windows_suspect,
        count(*) FILTER (state = 'failed') AS windows_failed,
        count(*) FILTER (state = 'missing') AS windows_missing,
        max(fetched_at) AS newest_fetch_at
    FROM windows
    GROUP BY session_date
),

stays AS (
    SELECT session_date, count(*) AS stays_held
    FROM participant_sessions
    GROUP BY session_date
),

calls AS (
    SELECT session_date, count(*) AS calls, count(*) FILTER (is_live) AS live_calls
    FROM call_sessions
    GROUP BY session_date
),

promised AS (
    SELECT
        session_date,
        sum(stays_promised)::BIGINT AS stays_promised,
        max(forgotten_at) AS forgotten_at
    FROM ingest_completeness_by_call
    GROUP BY session_date
)

SELECT
    session_date,
    coalesce(calls.calls, 0) AS calls,
    coalesce(calls.live_calls, 0) AS live_calls,
    coalesce(promised.stays_promised, 0) AS stays_promised,
    coalesce(stays.stays_held, 0) AS stays_held,
    coalesce(by_state.windows_expected, 0) AS windows_expected,
    coalesce(by_state.windows_landed, 0) AS windows_landed,
    coalesce(by_state.windows_empty, 0) AS windows_empty,
    coalesce(by_state.windows_gone, 0) AS windows_gone,
    coalesce(by_state.windows_suspect, 0) AS windows_suspect,
    coalesce(by_state.windows_failed, 0) AS windows_failed,
    coalesce(by_state.windows_missing, 0) AS windows_missing,
    by_state.newest_fetch_at,
    (epoch(now()) - epoch(by_state.newest_fetch_at)) / 3600 AS hours_since_newest_fetch,
    promised.forgotten_at,
    (epoch(promised.forgotten_at) - epoch(now())) / 86400 AS days_until_forgotten
FROM calls
FULL JOIN promised USING (session_date)
FULL JOIN stays USING (session_date)
FULL JOIN by_state USING (session_date)
