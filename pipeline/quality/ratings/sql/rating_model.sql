-- Grain: one row per database with stays: its model of ratings, or why there is none.
--
-- abstained_because: Why no rating is predicted; NULL if predicted_ratings has rows
-- first_day: First day of the ratings that it was made from
-- last_day: Last day of them
-- unseen_days: Latest days, kept apart: the figures about how well it does are from these
-- ratings: Rated stays that it was made from, those of the unseen days included
-- response_rate: Share of the judged stays of these days with a rating, 0 to 1
-- effective_ratings: How many ratings the corrected ones are worth: less than ratings if some count for many silent stays
-- calibration_error: Mean gap between predicted and given ratings on the unseen days, in stars, over groups of similar
--     prediction, corrected for who rates
-- interval_coverage: Share of the ratings of the unseen days between low and high, 0 to 1, corrected for who rates
-- trained_at: When it was made
SELECT
    CASE
        WHEN model.value IS NULL
            THEN 'there are ' || rated.stays || ' rated stays, and a model needs 200'
        ELSE model.value ->> 'abstained_because'
    END AS abstained_because,
    (model.value ->> 'first_day')::DATE AS first_day,
    (model.value ->> 'last_day')::DATE AS last_day,
    (model.value ->> 'unseen_days')::BIGINT AS unseen_days,
    coalesce((model.value ->> 'ratings')::BIGINT, rated.stays) AS ratings,
    (model.value ->> 'response_rate')::DOUBLE AS response_rate,
    (model.value ->> 'effective_ratings')::DOUBLE AS effective_ratings,
    (model.value ->> 'calibration_error')::DOUBLE AS calibration_error,
    (model.value ->> 'interval_coverage')::DOUBLE AS interval_coverage,
    (model.value ->> 'trained_at')::TIMESTAMPTZ AS trained_at
FROM (
    SELECT count(DISTINCT (session_date, call_type, call_id, call_session_id, user_id)) AS stays
    FROM user_ratings
    WHERE user_session_id IS NOT NULL
) AS rated
LEFT JOIN (SELECT value::JSON AS value FROM store.meta WHERE name = 'rating model') AS model ON true
WHERE EXISTS (FROM participant_sessions)
