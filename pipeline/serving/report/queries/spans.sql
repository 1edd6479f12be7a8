-- Grain: one row per stretch with data throughout of a track, of the user sessions $stays in the call session that the
-- four ids name, in order of time.
--
-- since: Its first instant
-- until: The end of the time that its last point counts for
SELECT series.user_id, series.user_session_id, kinds.track_kind, spans.since, spans.until
FROM store.track_spans AS spans
INNER JOIN store.series AS series ON spans.track_number = series.series_id
INNER JOIN track_kinds AS kinds ON series.track_type IS NOT DISTINCT FROM kinds.track_type
WHERE
    series.session_date = $session_date
    AND series.call_type = $call_type
    AND series.call_id = $call_id
    AND series.call_session_id = $call_session_id
    AND list_contains($stays, series.user_session_id)
ORDER BY spans.since, spans.until
