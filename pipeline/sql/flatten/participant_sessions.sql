-- Grain: one row per user session. Sources: `attendance`, see attendance.sql; `clients`, see clients.sql, with ids;
-- `statistics`, see participant_stats.sql. What both of the latter tell, Participant Metrics say first.
SELECT
    $day::DATE AS session_date,
    attendance.*,
    coalesce(clients.is_publisher, statistics.is_publisher) AS is_publisher,
    clients.is_subscriber,
    clients.client_name,
    clients.client_version,
    coalesce(clients.client_ip, statistics.client_ip) AS client_ip,
    clients.network_type,
    coalesce(clients.city, statistics.city) AS city,
    coalesce(clients.subdivision, statistics.subdivision) AS subdivision,
    coalesce(clients.country, statistics.country) AS country,
    coalesce(clients.country_iso_code, statistics.country_iso_code) AS country_iso_code,
    coalesce(clients.continent, statistics.continent) AS continent,
    coalesce(clients.latitude, statistics.latitude) AS latitude,
    coalesce(clients.longitude, statistics.longitude) AS longitude,
    coalesce(clients.accuracy_radius_meters, statistics.accuracy_radius_meters) AS accuracy_radius_meters,
    statistics.sdk,
    statistics.sdk_version,
    statistics.browser,
    statistics.browser_version,
    statistics.os,
    statistics.webrtc_version,
    statistics.latency_ms,
    statistics.jitter_ms,
    statistics.freezes_duration_ms,
    statistics.cq_score,
    statistics.current_sfu,
    statistics.distance_to_sfu_kilometers,
    statistics.published_audio,
    statistics.published_video,
    statistics.published_screenshare,
    statistics.published_screenshare_audio
FROM attendance
LEFT JOIN clients USING (call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN statistics USING (call_type, call_id, call_session_id, user_id, user_session_id)
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id
