-- Grain: one row per response of Participant Metrics, in the order of `responses(n, body)`, its source. `data_points` are
-- pairs of timestamp and value; an element that is not such a pair is NULL.
SELECT n, participant_metrics_body(body) AS response
FROM responses
