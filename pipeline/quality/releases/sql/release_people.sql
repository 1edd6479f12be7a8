-- Grain: one row per client_name, client_version, network_type, country, operating system and user. What
-- client_releases and release_pairs count. Stays without a known client or version are in no row.
--
-- client_name: The client: SDK or browser, as received
-- client_version: Version of the client, as received
-- network_type: Network of the client: wifi, ethernet, cellular, …; unknown if the source has none
-- country: Country, from the client's IP address; unknown if the source has none
-- os: Operating system in lower case, without its version; unknown if the source has none
-- first_day: First session_date (UTC) of these stays
-- last_day: Last session_date of these stays
-- stays: Stays, judged or not
-- publishers: Stays that participant_quality judges good or poor; unclassified ones count nowhere
-- poor: Poor ones of these
SELECT
    quality.client_name,
    quality.client_version,
    coalesce(nullif(trim(quality.network_type), ''), 'unknown') AS network_type,
    coalesce(nullif(trim(quality.country), ''), 'unknown') AS country,
    coalesce(nullif(trim(regexp_extract(lower(sessions.os), '^[^0-9]*')), ''), 'unknown') AS os,
    coalesce(user_id, user_session_id, '') AS user_id,
    min(session_date) AS first_day,
    max(session_date) AS last_day,
    count(*) AS stays,
    count(*) FILTER (quality.class IN ('good', 'poor')) AS publishers,
    count(*) FILTER (quality.class = 'poor') AS poor
FROM participant_quality AS quality
LEFT JOIN participant_sessions AS sessions
    USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
WHERE trim(quality.client_name) <> '' AND trim(quality.client_version) <> ''
GROUP BY ALL
