-- Grain: one row per stretch of a track without a gap, of the user sessions $stays in this call session, oldest first.
--
-- since: Its first instant
-- until: The end of the time that its last point counts for
SELECT series.user_id, series.user_session_id, kinds.track_kind, spans.since, spans.until
FROM store.track_spans AS spans
INNER JOIN this_call('store.series') AS series
    ON spans.session_date = series.session_date AND spans.track_number = series.series_id
INNER JOIN track_kinds AS kinds ON series.track_type IS NOT DISTINCT FROM kinds.track_type
WHERE list_contains($stays, series.user_session_id)
ORDER BY spans.since, spans.until
