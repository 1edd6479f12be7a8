-- Grain: one row per call session of a day ($day) with a publisher, the one with the most poor publishers first.
-- A publisher is a user of a call with a published track: poor if one of the tracks is, else good if one of them is.
WITH publishers AS (
    SELECT
        call_type, call_id, call_session_id, user_id,
        bool_or(class = 'poor') AS is_poor,
        bool_or(class = 'good') AS is_good,
        min(framerate_p5) FILTER (track_kind = 'camera') AS framerate_p5
    FROM track_quality
    WHERE session_date = $day
    GROUP BY ALL
)

SELECT
    call_type,
    call_id,
    count(*) AS publishers,
    count(*) FILTER (is_poor) AS poor,
    count(*) FILTER (is_good AND NOT is_poor) AS good,
    min(framerate_p5) AS framerate_p5
FROM publishers
GROUP BY call_type, call_id, call_session_id
ORDER BY poor DESC, framerate_p5 ASC NULLS LAST, call_type ASC, call_id ASC
