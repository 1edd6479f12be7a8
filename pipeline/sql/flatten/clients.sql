-- Grain: one row per stay (`stay`, its number). Source: `parsed(n, stay, answer)`, see metrics.sql, without tracks;
-- a greater n is a later answer. Of each column the latest answer that has a value wins; a user who
-- published in any window is a publisher.
SELECT
    stay,
    bool_or(answer.is_publisher) AS is_publisher,
    bool_or(answer.is_subscriber) AS is_subscriber,
    arg_max(answer.client.name, n) AS client_name,
    arg_max(answer.client.version, n) AS client_version,
    arg_max(answer.client.ip, n) AS client_ip,
    arg_max(answer.client.network_type, n) AS network_type,
    arg_max(answer.client.location.city, n) AS city,
    arg_max(answer.client.location.subdivision, n) AS subdivision,
    arg_max(answer.client.location.country, n) AS country,
    arg_max(answer.client.location.country_iso_code, n) AS country_iso_code,
    arg_max(answer.client.location.continent, n) AS continent,
    arg_max(answer.client.location.latitude, n) AS latitude,
    arg_max(answer.client.location.longitude, n) AS longitude,
    arg_max(answer.client.location.accuracy_radius_meters, n) AS accuracy_radius_meters
FROM parsed
GROUP BY ALL
ORDER BY stay
