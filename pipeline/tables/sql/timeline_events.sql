-- Grain: one row per event of a participant timeline. Source: `timelines(stay, n, body)`; a greater n is later.
-- An event has no id: events of a stay that are equal in everything are one. Events of one type at one instant are those
-- of the latest response that has any, so that data that were written anew are not there twice. An event that a later
-- response does not have stays. Values are as received; an instant that cannot be read is NULL.
WITH listed AS (
    SELECT
        stay, n,
        unnest(participant_timeline_body(body).events) AS event
    FROM timelines
),

events AS (
    SELECT
        stay, n,
        instant(event."timestamp") AS "timestamp",
        event.type AS "type",
        event.severity AS severity,
        nullif(event.data::VARCHAR, 'null') AS "data"
    FROM listed
),

newest AS (
    SELECT *
    FROM events
    WHERE coalesce("timestamp"::VARCHAR, "type", severity, "data") IS NOT NULL
    QUALIFY n = max(n) OVER (PARTITION BY stay, "timestamp", "type")
)

SELECT DISTINCT stay, "timestamp", "type", severity, "data"
FROM newest
ORDER BY
    stay ASC,
    "timestamp" ASC NULLS LAST,
    "type" ASC NULLS LAST,
    severity ASC NULLS LAST,
    "data" ASC NULLS LAST
