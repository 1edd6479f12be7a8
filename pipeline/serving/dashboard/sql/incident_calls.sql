-- Grain: one row per call session with people affected by one incident ($day, $started_at, $scope, $scope_value), for
-- the fifty with the most of them.
SELECT
    affected.call_type,
    affected.call_id,
    calls.started_at AS call_started_at,
    affected.affected,
    affected.publishers,
    affected.affected_minutes,
    affected.call_session_id
FROM incident_calls AS affected
LEFT JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
WHERE
    session_date = $day
    AND affected.started_at = $started_at
    AND affected.scope = $scope
    AND affected.scope_value = $scope_value
ORDER BY affected.affected DESC, affected.affected_minutes DESC, affected.call_session_id
LIMIT 50
