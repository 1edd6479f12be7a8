-- Grain: one row per call session. Sources: `sessions` (rows of call_sessions), `totals` and `participants` (see
-- participant_totals.sql and participant_sessions.sql in planning/sql), `windows` (rows of windows), `digests(call_type,
-- call_id, call_session_id, raw_sha256)`, and `judged(call_type, call_id, call_session_id, promised, due, is_complete)`
-- (see planning/completeness.py). `retention` is how long the source lists participants.
WITH stays AS (
    SELECT call_type, call_id, call_session_id, count(*) AS held
    FROM participants
    GROUP BY ALL
),

counted AS (
    SELECT
        call_type,
        call_id,
        call_session_id,
        count(*) AS expected,
        count(*) FILTER (WHERE state = 'landed') AS landed,
        count(*) FILTER (WHERE state = 'empty') AS empty,
        count(*) FILTER (WHERE state = 'gone') AS gone,
        count(*) FILTER (WHERE state = 'suspect') AS suspect,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'missing') AS missing,
        sum(points)::BIGINT AS points,
        string_agg(DISTINCT timestamp_unit, ' ' ORDER BY timestamp_unit) AS timestamp_units,
        max(fetched_at) AS newest_fetch_at
    FROM windows
    GROUP BY ALL
)

SELECT
    $day::DATE AS session_date,
    sessions.call_type,
    sessions.call_id,
    sessions.call_session_id,
    judged.promised AS stays_promised,
    coalesce(stays.held, 0) AS stays_held,
    coalesce(totals.erased, 0) AS stays_forgotten,
    coalesce(counted.expected, 0) AS windows_expected,
    coalesce(counted.landed, 0) AS windows_landed,
    coalesce(counted.empty, 0) AS windows_empty,
    coalesce(counted.gone, 0) AS windows_gone,
    coalesce(counted.suspect, 0) AS windows_suspect,
    coalesce(counted.failed, 0) AS windows_failed,
    coalesce(counted.missing, 0) AS windows_missing,
    coalesce(judged.due, 0) AS windows_due,
    coalesce(counted.points, 0) AS points,
    counted.timestamp_units,
    counted.newest_fetch_at,
    sessions.ended_at + $retention AS forgotten_at,
    digests.raw_sha256,
    coalesce(judged.is_complete, false) AS is_complete
FROM sessions
LEFT JOIN totals USING (call_type, call_id, call_session_id)
LEFT JOIN stays USING (call_type, call_id, call_session_id)
LEFT JOIN counted USING (call_type, call_id, call_session_id)
LEFT JOIN digests USING (call_type, call_id, call_session_id)
LEFT JOIN judged USING (call_type, call_id, call_session_id)
ORDER BY sessions.call_type, sessions.call_id, sessions.call_session_id
