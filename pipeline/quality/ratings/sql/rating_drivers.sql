-- Grain: one row per feature of the model of ratings; none if it abstains. What moves the predicted rating.
--
-- feature: The feature, see rated_stays
-- stars: How many stars the prediction changes from a low to a high value of it (from the 10th to the 90th percentile of
--     the stays that it was made from), if nothing else changes; near a typical prediction. Not a cause: features go
--     together
-- low: The low value
-- high: The high value
SELECT
    unnest(model.drivers).feature AS feature,
    unnest(model.drivers).stars AS stars,
    unnest(model.drivers).low AS low,
    unnest(model.drivers).high AS high
FROM (
    SELECT
        from_json(
            value, '{"drivers": [{"feature": "VARCHAR", "stars": "DOUBLE", "low": "DOUBLE", "high": "DOUBLE"}]}'
        ) AS model
    FROM store.meta
    WHERE name = 'rating model'
)
