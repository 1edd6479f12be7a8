-- Grain: one row per judged user session; none if the model of ratings abstains, see rating_model. The rating that a
-- person with such media would give. Not a score of any standard: the source does not give what those need.
--
-- predicted_rating: Predicted rating, 1 to 5 stars
-- low: Lower end of the interval in which nine in ten ratings are
-- high: Upper end of it
-- rating: The rating that was given; NULL if none
WITH model AS (
    SELECT
        unnest(from_json(
            value,
            '{"abstained_because": "VARCHAR", "intercept": "DOUBLE", "half_width": "DOUBLE", "scores": ["DOUBLE"],
              "stars": ["DOUBLE"], "terms": [{"feature": "VARCHAR", "center": "DOUBLE", "weight": "DOUBLE"}]}'
        ))
    FROM store.meta
    WHERE name = 'rating model'
),

scored AS (
    SELECT
        stays.*,
        model.*,
        model.intercept + list_sum(
            list_transform(
                model.terms,
                lambda term: term.weight * (coalesce(stays.features[term.feature], term.center) - term.center)
            )
        ) AS score
    FROM rated_stays AS stays
    CROSS JOIN model
    WHERE model.abstained_because IS NULL
),

-- The stars of a score lie on straight lines between known pairs of score and stars.
predicted AS (
    SELECT
        *,
        stars[1] + list_sum(
            list_transform(
                range(1, len(scores)),
                lambda i: (stars[i + 1] - stars[i])
                * greatest(0, least(1, (score - scores[i]) / (scores[i + 1] - scores[i])))
            )
        ) AS predicted_rating
    FROM scored
)

SELECT
    session_date, call_type, call_id, call_session_id, user_id, user_session_id,
    predicted_rating,
    greatest(1, predicted_rating - half_width) AS low,
    least(5, predicted_rating + half_width) AS high,
    rating
FROM predicted
