-- Grain: one row per spelling of track_type. The kind of track that each one means. Stream's endpoints spell screen
-- share as screensharing, screenshare, screen_share, …
--
-- track_type: Kind of track as received; NULL if the source names none
-- track_kind: camera, screen_share, screen_share_audio, audio or other
WITH spellings AS (
    SELECT DISTINCT
        track_type,
        regexp_replace(lower(coalesce(track_type, '')), '[^a-z]', '', 'g') AS letters
    FROM tracks
)

SELECT
    track_type,
    CASE
        WHEN letters LIKE '%screen%audio%' THEN 'screen_share_audio'
        WHEN letters LIKE '%screen%' THEN 'screen_share'
        WHEN letters LIKE '%audio%' THEN 'audio'
        WHEN letters LIKE '%video%' OR letters LIKE '%camera%' THEN 'camera'
        ELSE 'other'
    END AS track_kind
FROM spellings
