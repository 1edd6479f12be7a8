-- Grain: one row per track of the user sessions $stays in this call session, worst first within each: the columns of
-- track_quality, and the instants of the first and the last point.
SELECT quality.*, tracks.first_point_at, tracks.last_point_at
FROM this_call('track_quality') AS quality
INNER JOIN this_call('tracks') AS tracks
    ON
        quality.user_id = tracks.user_id
        AND quality.user_session_id = tracks.user_session_id
        AND quality.track_id IS NOT DISTINCT FROM tracks.track_id
        AND quality.track_type IS NOT DISTINCT FROM tracks.track_type
WHERE list_contains($stays, quality.user_session_id)
ORDER BY
    CASE quality.class WHEN 'poor' THEN 1 WHEN 'good' THEN 2 ELSE 3 END,
    quality.low_framerate_share DESC NULLS LAST,
    quality.framerate_p5 ASC NULLS LAST,
    quality.track_kind ASC,
    quality.track_id ASC,
    quality.track_type ASC
