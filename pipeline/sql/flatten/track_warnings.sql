-- Grain: one row per distinct warning of a track. Source: `parsed`, see metrics.sql, with the stay of each answer in
-- `answers(n, stay)`.
SELECT DISTINCT
    stay,
    track_id,
    track_type,
    instant(item.time) AS time,
    item.code AS code,
    item.warning AS warning
FROM (
    SELECT answers.stay, track.track_id, track.track_type, unnest(track.warnings) AS item
    FROM (SELECT n, unnest(answer.published_tracks) AS track FROM parsed) AS tracks
    INNER JOIN answers USING (n)
)
WHERE item IS NOT NULL
ORDER BY ALL
