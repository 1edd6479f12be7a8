-- Grain: one row per stay. Source: `pages(n, call_type, call_id, call_session_id, fetched_at, body)` of participant
-- statistics; a greater n is later. Of each column the latest page with a value wins. `is_publisher` is false only if
-- every kind of track is reported as not published. `listed_at` is when the latest page that reports it was fetched.
WITH people AS (
    SELECT
        n,
        call_type,
        call_id,
        call_session_id,
        fetched_at,
        unnest(participant_stats_body(body).participants) AS person
    FROM pages
),

listed AS (
    SELECT * EXCLUDE (person), person.user_id AS user_id, unnest(person.sessions) AS stay
    FROM people
),

reported AS (
    SELECT
        *,
        stay.published_tracks.audio
        OR stay.published_tracks.video
        OR stay.published_tracks.screenshare
        OR stay.published_tracks.screenshare_audio AS publishes
    FROM listed
)

SELECT
    call_type,
    call_id,
    call_session_id,
    user_id,
    stay.user_session_id AS user_session_id,
    max(fetched_at) FILTER (WHERE publishes IS NOT NULL) AS listed_at,
    CASE WHEN bool_or(publishes) THEN true WHEN bool_and(publishes IS NOT NULL) THEN false END AS is_publisher,
    arg_max(stay.current_ip, n) AS client_ip,
    arg_max(stay.location.city, n) AS city,
    arg_max(stay.location.subdivision, n) AS subdivision,
    arg_max(stay.location.country, n) AS country,
    arg_max(stay.location.country_iso_code, n) AS country_iso_code,
    arg_max(stay.location.continent, n) AS continent,
    arg_max(stay.location.latitude, n) AS latitude,
    arg_max(stay.location.longitude, n) AS longitude,
    arg_max(stay.location.accuracy_radius_meters, n) AS accuracy_radius_meters,
    arg_max(stay.sdk, n) AS sdk,
    arg_max(stay.sdk_version, n) AS sdk_version,
    arg_max(stay.browser, n) AS browser,
    arg_max(stay.browser_version, n) AS browser_version,
    arg_max(stay.os, n) AS os,
    arg_max(stay.webrtc_version, n) AS webrtc_version,
    arg_max(stay.latency_ms, n) AS latency_ms,
    arg_max(stay.jitter_ms, n) AS jitter_ms,
    arg_max(stay.freezes_duration_ms, n) AS freezes_duration_ms,
    arg_max(stay.cq_score, n) AS cq_score,
    arg_max(stay.current_sfu, n) AS current_sfu,
    arg_max(stay.distance_to_sfu_kilometers, n) AS distance_to_sfu_kilometers,
    bool_or(stay.published_tracks.audio) AS published_audio,
    bool_or(stay.published_tracks.video) AS published_video,
    bool_or(stay.published_tracks.screenshare) AS published_screenshare,
    bool_or(stay.published_tracks.screenshare_audio) AS published_screenshare_audio
FROM reported
WHERE user_id IS NOT NULL AND stay.user_session_id IS NOT NULL
GROUP BY ALL
ORDER BY call_type, call_id, call_session_id, user_id, user_session_id
