-- Grain: one row per stay. Sources: `participants` and `stats` (see participant_sessions.sql and participant_stats.sql in
-- planning/sql), `clients` (see clients.sql), with ids. Participant Metrics take precedence over participant stats.
SELECT
    $day::DATE AS session_date,
    participants.*,
    coalesce(clients.is_publisher, stats.is_publisher) AS is_publisher,
    clients.is_subscriber,
    clients.client_name,
    clients.client_version,
    coalesce(clients.client_ip, stats.client_ip) AS client_ip,
    clients.network_type,
    coalesce(clients.city, stats.city) AS city,
    coalesce(clients.subdivision, stats.subdivision) AS subdivision,
    coalesce(clients.country, stats.country) AS country,
    coalesce(clients.country_iso_code, stats.country_iso_code) AS country_iso_code,
    coalesce(clients.continent, stats.continent) AS continent,
    coalesce(clients.latitude, stats.latitude) AS latitude,
    coalesce(clients.longitude, stats.longitude) AS longitude,
    coalesce(clients.accuracy_radius_meters, stats.accuracy_radius_meters) AS accuracy_radius_meters,
    stats.sdk,
    stats.sdk_version,
    stats.browser,
    stats.browser_version,
    stats.os,
    stats.webrtc_version,
    stats.latency_ms,
    stats.jitter_ms,
    stats.freezes_duration_ms,
    stats.cq_score,
    stats.current_sfu,
    stats.distance_to_sfu_kilometers,
    stats.published_audio,
    stats.published_video,
    stats.published_screenshare,
    stats.published_screenshare_audio
FROM participants
LEFT JOIN clients USING (call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN stats USING (call_type, call_id, call_session_id, user_id, user_session_id)
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id
