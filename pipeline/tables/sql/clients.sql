-- Grain: one row per stay (`stay`, its number). Source: `parsed(n, stay, response)`, see metrics.sql, without tracks; a
-- greater n is later. Of each column the latest response with a value wins. A user who published in any window is a
-- publisher.
SELECT
    stay,
    bool_or(response.is_publisher) AS is_publisher,
    bool_or(response.is_subscriber) AS is_subscriber,
    arg_max(response.client.name, n) AS client_name,
    arg_max(response.client.version, n) AS client_version,
    arg_max(response.client.ip, n) AS client_ip,
    arg_max(response.client.network_type, n) AS network_type,
    arg_max(response.client.location.city, n) AS city,
    arg_max(response.client.location.subdivision, n) AS subdivision,
    arg_max(response.client.location.country, n) AS country,
    arg_max(response.client.location.country_iso_code, n) AS country_iso_code,
    arg_max(response.client.location.continent, n) AS continent,
    arg_max(response.client.location.latitude, n) AS latitude,
    arg_max(response.client.location.longitude, n) AS longitude,
    arg_max(response.client.location.accuracy_radius_meters, n) AS accuracy_radius_meters
FROM parsed
GROUP BY ALL
ORDER BY stay
