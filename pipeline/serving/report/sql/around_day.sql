-- Grain: one row, about the day of the call session.
--
-- has_incidents: Whether its incidents were looked for; NULL if its tables are not loaded
-- calls: Its call sessions
-- complete_calls: Those of which everything is stored
-- stays: User sessions of the whole database
-- stays_of_day: User sessions of the day
-- first_day: The earliest of the 28 days before it from which on there are at most $most user sessions, with those of the
--     day itself; NULL if the day alone has more, or no earlier day is stored
-- days: Days from first_day to the day before that are stored
WITH loaded AS (
    SELECT session_date, table_name, sum(row_count) AS row_count
    FROM store.loaded
    WHERE table_name IN ('participant_sessions', 'incidents')
    GROUP BY session_date, table_name
),

counted AS (
    SELECT
        session_date,
        sum(row_count) OVER (ORDER BY session_date DESC) AS stays_from_here_on
    FROM loaded
    WHERE
        table_name = 'participant_sessions'
        AND session_date BETWEEN getvariable('this_call').session_date - 28 AND getvariable('this_call').session_date
),

usual AS (
    SELECT session_date
    FROM counted
    WHERE stays_from_here_on <= $most AND session_date < getvariable('this_call').session_date
)

SELECT
    (
        SELECT bool_or(table_name = 'incidents')
        FROM loaded
        WHERE session_date = getvariable('this_call').session_date
    ) AS has_incidents,
    (
        SELECT count(*)
        FROM call_sessions
        WHERE session_date = getvariable('this_call').session_date
    ) AS calls,
    (
        SELECT count(*)
        FROM ingest_completeness_by_call
        WHERE session_date = getvariable('this_call').session_date AND is_complete
    ) AS complete_calls,
    (SELECT sum(row_count)::BIGINT FROM loaded WHERE table_name = 'participant_sessions') AS stays,
    (
        SELECT sum(row_count)::BIGINT
        FROM loaded
        WHERE table_name = 'participant_sessions' AND session_date = getvariable('this_call').session_date
    ) AS stays_of_day,
    (SELECT min(session_date) FROM usual) AS first_day,
    (SELECT count(*) FROM usual) AS days
