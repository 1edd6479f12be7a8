-- Grain: one row per minute of one kind of track from one publisher to one viewer, as far as participant details exist,
-- where one of the two is a user session of $stays. Without details of any viewer, the viewer is NULL.
-- Names of metrics are not documented: a bitrate is one whose name begins so, and a loss one that begins with "packet_loss"
-- or "packets_lost" and whose unit is a share. All others are left out.
--
-- minute: Start of the minute
-- sent: Mean bitrate that the publisher sent, all encodings together; NULL if the publisher's side is missing
-- sent_unit: Its unit, as received
-- sent_loss: Highest mean loss of a track that the publisher sent, in percent; NULL if not reported
-- encodings: Encodings that the publisher sent; several (simulcast) are never all received
-- received, received_unit, received_loss: The same on the viewer's side
WITH by_track AS (
    SELECT
        user_id, user_session_id, side, publisher_user_id, publisher_user_session_id, track_type, track_id, rid,
        date_trunc('minute', "timestamp") AS minute,
        avg("value") FILTER (starts_with(lower(metric), 'bitrate')) AS bitrate,
        max(unit) FILTER (starts_with(lower(metric), 'bitrate')) AS unit,
        avg(
            CASE
                WHEN lower(unit) IN ('%', 'percent') THEN "value"
                WHEN lower(unit) IN ('ratio', 'fraction') THEN 100 * "value"
            END
        ) FILTER (regexp_matches(lower(metric), '^packets?_(loss|lost)')) AS loss
    FROM this_call('detail_points')
    WHERE track_type IS NOT NULL
    GROUP BY ALL
),

sent AS (
    SELECT
        user_id, user_session_id, track_type, minute,
        sum(bitrate) AS sent,
        max(unit) AS sent_unit,
        max(loss) AS sent_loss,
        count(bitrate) AS encodings
    FROM by_track
    WHERE side = 'publisher'
    GROUP BY ALL
),

only_stays AS (
    SELECT user_id, min(user_session_id) AS user_session_id
    FROM this_call('participant_sessions')
    GROUP BY user_id
    HAVING count(*) = 1
),

received AS (
    SELECT
        by_track.user_id, by_track.user_session_id, publisher_user_id,
        coalesce(publisher_user_session_id, only_stays.user_session_id) AS publisher_user_session_id,
        track_type, minute,
        sum(bitrate) AS received,
        max(unit) AS received_unit,
        max(loss) AS received_loss
    FROM by_track
    LEFT JOIN only_stays ON by_track.publisher_user_id = only_stays.user_id
    WHERE side = 'subscriber' AND publisher_user_id IS NOT NULL
    GROUP BY ALL
),

ways AS (
    SELECT
        user_id, user_session_id, publisher_user_id, publisher_user_session_id, track_type,
        min(minute) AS since,
        max(minute) AS until
    FROM received
    GROUP BY ALL
),

minutes AS (
    SELECT user_id, user_session_id, publisher_user_id, publisher_user_session_id, track_type, minute
    FROM received
    UNION
    SELECT
        ways.user_id, ways.user_session_id, ways.publisher_user_id, ways.publisher_user_session_id, ways.track_type,
        sent.minute
    FROM ways
    INNER JOIN sent
        ON
            ways.publisher_user_id = sent.user_id
            AND ways.publisher_user_session_id = sent.user_session_id
            AND ways.track_type = sent.track_type
            AND sent.minute BETWEEN ways.since AND ways.until
    UNION
    SELECT NULL, NULL, sent.user_id, sent.user_session_id, sent.track_type, sent.minute
    FROM sent
    ANTI JOIN ways
        ON
            sent.user_id = ways.publisher_user_id
            AND sent.user_session_id = ways.publisher_user_session_id
            AND sent.track_type = ways.track_type
)

SELECT
    minutes.user_id, minutes.user_session_id, minutes.publisher_user_id, minutes.publisher_user_session_id,
    minutes.track_type, minutes.minute,
    sent.sent, sent.sent_unit, sent.sent_loss, sent.encodings,
    received.received, received.received_unit, received.received_loss
FROM minutes
LEFT JOIN sent
    ON
        minutes.publisher_user_id = sent.user_id
        AND minutes.publisher_user_session_id = sent.user_session_id
        AND minutes.track_type = sent.track_type
        AND minutes.minute = sent.minute
LEFT JOIN received
    ON
        minutes.user_id = received.user_id
        AND minutes.user_session_id = received.user_session_id
        AND minutes.publisher_user_id = received.publisher_user_id
        AND minutes.publisher_user_session_id IS NOT DISTINCT FROM received.publisher_user_session_id
        AND minutes.track_type = received.track_type
        AND minutes.minute = received.minute
WHERE list_contains($stays, minutes.user_session_id) OR list_contains($stays, minutes.publisher_user_session_id)
ORDER BY
    minutes.publisher_user_id, minutes.publisher_user_session_id, minutes.track_type, minutes.user_id,
    minutes.user_session_id, minutes.minute
