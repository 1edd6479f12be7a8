-- Grain: one row per incident of the days from $first to $last, the one with the most excess first; a hundred at most.
SELECT
    started_at,
    ended_at,
    scope,
    scope_value,
    affected,
    publishers,
    expected,
    excess,
    calls,
    session_date
FROM incidents
WHERE session_date BETWEEN $first AND $last
ORDER BY excess DESC, started_at, scope, scope_value
LIMIT 100
