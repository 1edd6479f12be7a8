-- Grain: one row per published track, including those without points. How well each track was sent, and a verdict.
-- Seconds are time-weighted (see interval_seconds of track_samples); a share is a share of the time with its metric.
-- The table quality_thresholds says what is low, short or enough, with one row per kind of track.
-- The verdict follows the stream classification of Teams CQD (three classes, "poor due to", frame rates of 7 for video
-- and 2 for screen share): a track is judged if its kind has a rule, and only by the data it has.
--
-- track_kind: camera, screen_share, screen_share_audio, audio or other: track_type without its many spellings
-- codec: Codec, from the latest response that names one
-- stay_seconds: Length of the user's stay; while it lasts, or if the source has no end, until the last point
-- active_seconds: Seconds with data
-- coverage: Share of the stay with data, 0 to 1
-- span_coverage: Share of the time from first to last point with data, 0 to 1: low for a track with gaps, not for a
--     track that started late
-- gaps: Times without data between two points: steps of more than three median steps
-- longest_gap_seconds: Seconds without data in the longest gap
-- step_seconds: Median step between points
-- bitrate_mean: Time-weighted mean bitrate, as received (most likely bits per second)
-- bitrate_p5: Bitrate that 5 % of the time does not exceed
-- bitrate_p50: Median bitrate over time
-- bitrate_p95: Bitrate that 95 % of the time does not exceed
-- framerate_seconds: Seconds with a frame rate
-- framerate_mean: Time-weighted mean, frames per second
-- framerate_p5: Frame rate that 5 % of the time does not exceed
-- framerate_p50: Median frame rate over time
-- framerate_p95: Frame rate that 95 % of the time does not exceed
-- framerate_histogram: Seconds at 0 to 1, 1 to 2, … frames per second; the 61st element is for 60 and more
-- low_framerate_share: Share of the time under low_framerate (Teams CQD: camera 7, screen share 2), 0 to 1
-- strict_framerate_share: Share of the time under strict_framerate (camera 15), 0 to 1
-- send_stalls: Times that no frame was sent (frame rate 0) between two times with frames, without a gap: caused by the
--     sender, not a freeze at a receiver
-- send_stall_seconds: Seconds in send stalls
-- resolution_switches_per_minute: Changes of pixels per frame, per minute with a resolution; an orientation swap does
--     not count
-- switches_up: Changes to more pixels
-- switches_down: Changes to fewer pixels
-- height_seconds: Seconds at each height; height is the picture's shorter side in pixels, so that an orientation swap
--     changes nothing
-- height_p95: Height that 95 % of the time does not exceed
-- downscale_share: Share of the time below height_p95, 0 to 1: as Mux's downscale percentage, but compared with what
--     this track was able to send
-- bits_per_pixel_frame: Bits sent per pixel of each frame, if bitrate is in bits; not for screen share, which is mostly
--     still
-- warnings: Warnings on the track
-- warnings_per_hour: Warnings per hour with data
-- class: good, poor or unclassified; missing data is never good
-- poor_due_to: Rules that a poor track breaks: low framerate, send stalls, low bitrate
-- unclassified_due_to: Why there is no verdict: no rule (for this kind of track), too short, low coverage
WITH warned AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id, track_id, track_type,
        count(*) AS warnings
    FROM track_warnings
    GROUP BY ALL
),

known AS (
    SELECT
        tracks.*,
        kinds.track_kind,
        statistics.* EXCLUDE (session_date),
        thresholds.* EXCLUDE (track_kind),
        coalesce(warned.warnings, 0) AS warnings,
        coalesce(
            epoch(stays.left_at) - epoch(stays.joined_at),
            stays.duration_seconds,
            epoch(tracks.last_point_at) - epoch(stays.joined_at)
        ) AS stay_seconds
    FROM tracks
    LEFT JOIN participant_sessions AS stays
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    INNER JOIN track_kinds AS kinds ON tracks.track_type IS NOT DISTINCT FROM kinds.track_type
    LEFT JOIN quality_thresholds AS thresholds USING (track_kind)
    LEFT JOIN store.series AS series
        ON
            tracks.session_date = series.session_date
            AND tracks.call_type = series.call_type
            AND tracks.call_id = series.call_id
            AND tracks.call_session_id = series.call_session_id
            AND tracks.user_id = series.user_id
            AND tracks.user_session_id = series.user_session_id
            AND tracks.track_id IS NOT DISTINCT FROM series.track_id
            AND tracks.track_type IS NOT DISTINCT FROM series.track_type
            AND series.series_id = series.track_number
    LEFT JOIN store.track_statistics AS statistics
        ON tracks.session_date = statistics.session_date AND series.series_id = statistics.track_number
    LEFT JOIN warned
        ON
            tracks.session_date = warned.session_date
            AND tracks.call_type = warned.call_type
            AND tracks.call_id = warned.call_id
            AND tracks.call_session_id = warned.call_session_id
            AND tracks.user_id = warned.user_id
            AND tracks.user_session_id = warned.user_session_id
            AND tracks.track_id IS NOT DISTINCT FROM warned.track_id
            AND tracks.track_type IS NOT DISTINCT FROM warned.track_type
),

shares AS (
    SELECT
        *,
        active_seconds / nullif(stay_seconds, 0) AS active_share,
        coalesce(list_sum(framerate_histogram[1:low_framerate::BIGINT]), 0)
        / nullif(framerate_seconds, 0) AS low_share,
        coalesce(list_sum(framerate_histogram[1:strict_framerate::BIGINT]), 0)
        / nullif(framerate_seconds, 0) AS strict_share,
        send_stall_seconds / nullif(framerate_seconds, 0) AS stall_share,
        low_framerate IS NOT NULL AND max_low_framerate_share IS NOT NULL AS judges_framerate,
        max_send_stall_share IS NOT NULL AS judges_stalls,
        min_bitrate IS NOT NULL AS judges_bitrate,
        -- the time with all the metrics that the rules of the kind need
        coalesce(
            least(
                active_seconds,
                CASE WHEN judges_framerate OR judges_stalls THEN framerate_seconds ELSE active_seconds END,
                CASE WHEN judges_bitrate THEN bitrate_seconds ELSE active_seconds END
            ),
            0
        ) AS judged_seconds
    FROM known
),

judged AS (
    SELECT
        *,
        CASE
            WHEN NOT (judges_framerate OR judges_stalls OR judges_bitrate) THEN 'no rule'
            WHEN judged_seconds = 0 OR judged_seconds < coalesce(min_active_seconds, 0) THEN 'too short'
            WHEN coalesce(judged_seconds / nullif(stay_seconds, 0), 0) < coalesce(min_coverage, 0) THEN 'low coverage'
        END AS unclassified_due_to,
        concat_ws(
            ', ',
            CASE WHEN judges_framerate AND low_share > max_low_framerate_share THEN 'low framerate' END,
            CASE WHEN judges_stalls AND stall_share > max_send_stall_share THEN 'send stalls' END,
            CASE WHEN judges_bitrate AND bitrate_mean < min_bitrate THEN 'low bitrate' END
        ) AS broken_rules
    FROM shares
)

SELECT
    session_date, call_type, call_id, call_session_id, user_id, user_session_id, track_id, track_type,
    track_kind,
    codec,
    stay_seconds,
    coalesce(active_seconds, 0) AS active_seconds,
    CASE WHEN stay_seconds > 0 THEN least(coalesce(active_share, 0), 1) END AS coverage,
    -- least() ignores NULL; an unknown share must not become 1
    CASE
        WHEN last_point_at > first_point_at
            THEN least(active_seconds / (epoch(last_point_at) - epoch(first_point_at)), 1)
    END AS span_coverage,
    coalesce(gaps, 0) AS gaps,
    coalesce(longest_gap_seconds, 0) AS longest_gap_seconds,
    step_seconds,
    bitrate_mean,
    bitrate_p5,
    bitrate_p50,
    bitrate_p95,
    coalesce(framerate_seconds, 0) AS framerate_seconds,
    framerate_mean,
    framerate_p5,
    framerate_p50,
    framerate_p95,
    framerate_histogram,
    CASE WHEN low_framerate IS NOT NULL AND low_share IS NOT NULL THEN least(low_share, 1) END AS low_framerate_share,
    CASE
        WHEN strict_framerate IS NOT NULL AND strict_share IS NOT NULL THEN least(strict_share, 1)
    END AS strict_framerate_share,
    coalesce(send_stalls, 0) AS send_stalls,
    coalesce(send_stall_seconds, 0) AS send_stall_seconds,
    60 * (switches_up + switches_down) / nullif(resolution_seconds, 0) AS resolution_switches_per_minute,
    coalesce(switches_up, 0) AS switches_up,
    coalesce(switches_down, 0) AS switches_down,
    height_seconds,
    height_p95,
    downscaled_seconds / nullif(resolution_seconds, 0) AS downscale_share,
    CASE WHEN track_kind <> 'screen_share' THEN bits_per_pixel_frame END AS bits_per_pixel_frame,
    warnings,
    3600 * warnings / nullif(active_seconds, 0) AS warnings_per_hour,
    CASE
        WHEN unclassified_due_to IS NOT NULL THEN 'unclassified'
        WHEN broken_rules <> '' THEN 'poor'
        ELSE 'good'
    END AS class,
    CASE WHEN unclassified_due_to IS NULL THEN nullif(broken_rules, '') END AS poor_due_to,
    unclassified_due_to
FROM judged
