-- Grain: one row per call session from $first to $last in which publishers with one $value of a $dimension were poor, for
-- the fifty with the most of them. Dimensions are those of explain_change, without the codec; 'unknown' is NULL.
WITH judged AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        quality.class,
        coalesce(
            CASE $dimension
                WHEN 'network_type' THEN quality.network_type
                WHEN 'country' THEN quality.country
                WHEN 'client_name' THEN quality.client_name
                WHEN 'client_version' THEN quality.client_version
                WHEN 'current_sfu' THEN stays.current_sfu
            END,
            'unknown'
        ) AS "value"
    FROM participant_quality AS quality
    LEFT JOIN participant_sessions AS stays
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    WHERE session_date BETWEEN $first AND $last AND quality.class IN ('good', 'poor')
)

SELECT
    calls.started_at,
    call_type,
    call_id,
    count(*) AS judged,
    count(*) FILTER (judged.class = 'poor') AS poor_stays,
    call_session_id
FROM judged
LEFT JOIN call_sessions AS calls USING (session_date, call_type, call_id, call_session_id)
WHERE judged."value" = $value
GROUP BY ALL
HAVING poor_stays > 0
ORDER BY poor_stays DESC, judged, calls.started_at, call_session_id
LIMIT 50
