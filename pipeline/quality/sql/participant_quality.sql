-- Grain: one row per user session, including those that published nothing. How one person's media was.
-- The worst track is a poor one, else a good one, else an unclassified one; among these the one with the highest
-- low_framerate_share, then the one with the lowest framerate_p5.
--
-- joined_at: When the user joined
-- left_at: When the user left; NULL while still there
-- class: Class of the worst track: good, poor or unclassified; unclassified without tracks
-- tracks: Published tracks
-- poor_tracks: Published tracks that are poor
-- worst_track_id: Id of the worst track
-- worst_track_kind: Its kind, see track_quality
-- poor_due_to: Rules that the worst track breaks
-- worst_low_framerate_share: Its low_framerate_share, 0 to 1
-- worst_framerate_p5: Its framerate_p5, frames per second
-- first_media_at: First point of any track with bitrate above 0
-- join_to_first_media_seconds: Seconds from joined_at to first_media_at, to within a step between points. Not
--     meaningful for users who chose to publish later: the source does not distinguish them. Below 0 if the source's
--     clocks differ
-- published_seconds: Seconds in which at least one track had data
-- warnings: Warnings on all tracks
-- client_name: The client: SDK or browser, as received
-- client_version: Version of the client
-- network_type: Network of the client: wifi, ethernet, cellular, …
-- country: Country, from the client's IP address
-- country_iso_code: ISO 3166-1 alpha-2 code of the country
WITH judged AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        count(*) AS tracks,
        count(*) FILTER (class = 'poor') AS poor_tracks,
        sum(warnings)::BIGINT AS warnings,
        first(
            struct_pack(class, track_id, track_kind, poor_due_to, low_framerate_share, framerate_p5)
            ORDER BY
                CASE class WHEN 'poor' THEN 1 WHEN 'good' THEN 2 ELSE 3 END,
                low_framerate_share DESC NULLS LAST,
                framerate_p5 ASC NULLS LAST,
                track_id ASC,
                track_type ASC
        ) AS worst
    FROM track_quality
    GROUP BY ALL
),

-- Spans of different tracks overlap. Each counts from the end of the spans before it, so that no second counts twice.
spans AS (
    SELECT
        series.session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        epoch(spans.since) AS since,
        epoch(spans.until) AS until,
        max(epoch(spans.until)) OVER (
            PARTITION BY series.session_date, call_type, call_id, call_session_id, user_id, user_session_id
            ORDER BY spans.since, spans.until
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS covered_until
    FROM store.track_spans AS spans
    INNER JOIN store.series AS series
        ON spans.session_date = series.session_date AND spans.track_number = series.series_id
),

published AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        sum(greatest(until - greatest(since, covered_until), 0)) AS published_seconds
    FROM spans
    GROUP BY ALL
),

first_media AS (
    SELECT
        series.session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        min(statistics.first_media_at) AS first_media_at
    FROM store.track_statistics AS statistics
    INNER JOIN store.series AS series
        ON statistics.session_date = series.session_date AND statistics.track_number = series.series_id
    GROUP BY ALL
)

SELECT
    session_date, call_type, call_id, call_session_id, user_id, user_session_id,
    stays.joined_at,
    stays.left_at,
    coalesce(judged.worst.class, 'unclassified') AS class,
    coalesce(judged.tracks, 0) AS tracks,
    coalesce(judged.poor_tracks, 0) AS poor_tracks,
    judged.worst.track_id AS worst_track_id,
    judged.worst.track_kind AS worst_track_kind,
    judged.worst.poor_due_to AS poor_due_to,
    judged.worst.low_framerate_share AS worst_low_framerate_share,
    judged.worst.framerate_p5 AS worst_framerate_p5,
    first_media.first_media_at,
    epoch(first_media.first_media_at) - epoch(stays.joined_at) AS join_to_first_media_seconds,
    coalesce(published.published_seconds, 0) AS published_seconds,
    coalesce(judged.warnings, 0) AS warnings,
    stays.client_name,
    stays.client_version,
    stays.network_type,
    stays.country,
    stays.country_iso_code
FROM participant_sessions AS stays
LEFT JOIN judged USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN published USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
LEFT JOIN first_media USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
