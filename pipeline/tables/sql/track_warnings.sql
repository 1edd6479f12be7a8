-- Grain: one row per distinct warning of a track. Source: `tracks(n, stay, track_id, track_type, codec, warnings)`, one
-- row per track of a response.
SELECT DISTINCT
    stay,
    track_id,
    track_type,
    instant(item.time) AS time,
    item.code AS code,
    item.warning AS warning
FROM (SELECT stay, track_id, track_type, unnest(warnings) AS item FROM tracks)
WHERE item IS NOT NULL
ORDER BY ALL
