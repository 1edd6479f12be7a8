-- Grain: one row per track of the user sessions $stays in the call session that the four ids name, worst first within
-- each: the columns of track_quality, and of tracks the instants of the first and the last point.
SELECT quality.*, tracks.first_point_at, tracks.last_point_at
FROM track_quality AS quality
INNER JOIN tracks
    ON
        quality.session_date = tracks.session_date
        AND quality.call_type = tracks.call_type
        AND quality.call_id = tracks.call_id
        AND quality.call_session_id = tracks.call_session_id
        AND quality.user_id = tracks.user_id
        AND quality.user_session_id = tracks.user_session_id
        AND quality.track_id IS NOT DISTINCT FROM tracks.track_id
        AND quality.track_type IS NOT DISTINCT FROM tracks.track_type
WHERE
    quality.session_date = $session_date
    AND quality.call_type = $call_type
    AND quality.call_id = $call_id
    AND quality.call_session_id = $call_session_id
    AND list_contains($stays, quality.user_session_id)
ORDER BY
    CASE quality.class WHEN 'poor' THEN 1 WHEN 'good' THEN 2 ELSE 3 END,
    quality.low_framerate_share DESC NULLS LAST,
    quality.framerate_p5 ASC NULLS LAST,
    quality.track_kind ASC,
    quality.track_id ASC,
    quality.track_type ASC
