-- Grain: one row per rating. Source: `pages(n, call_type, call_id, call_session_id, fetched_at, body)` of user feedback,
-- listed per call session; a greater n is later. The source gives a rating neither an id nor a time: ratings of a user
-- for a call session that are equal in everything are one, also on pages of later listings. A rating that a later
-- listing does not have stays. `first_listed_at` is when a page first had it. `rating_number` counts the ratings of a
-- user for the call session from 1, those listed earlier first.
WITH listed AS (
    SELECT
        call_type, call_id, call_session_id, n, fetched_at,
        unnest(user_feedback_body(body).user_feedback) AS feedback,
        unnest(range(len(user_feedback_body(body).user_feedback))) AS place
    FROM pages
),

given AS (
    SELECT
        call_type, call_id, call_session_id,
        feedback.user_id AS user_id,
        feedback.rating AS rating,
        feedback.reason AS reason,
        feedback.sdk AS sdk,
        feedback.sdk_version AS sdk_version,
        feedback.platform::VARCHAR AS platform,
        feedback.custom::VARCHAR AS custom,
        min(fetched_at) AS first_listed_at,
        min((n, place)) AS first_place
    FROM listed
    WHERE
        feedback.user_id IS NOT NULL
        AND feedback.rating IS NOT NULL
        -- in case that the source does not apply the filter
        AND coalesce(feedback.session_id = call_session_id, true)
        AND coalesce(feedback.cid = call_type || ':' || call_id, true)
    GROUP BY ALL
)

SELECT
    * EXCLUDE (first_place),
    row_number() OVER (
        PARTITION BY call_type, call_id, call_session_id, user_id
        ORDER BY first_place, rating, reason, custom
    ) AS rating_number
FROM given
ORDER BY call_type, call_id, call_session_id, user_id, rating_number
