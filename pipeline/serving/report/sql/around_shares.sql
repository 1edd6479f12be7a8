-- Grain: one row per dimension and value of $values that another judged stay has: how many publishers' stays were poor on
-- the day of the call session, without the call session itself, and from $first_day to the day before. A stay is poor if
-- one of its tracks is, else judged if one of them is good, as in participant_quality.
--
-- n, poor, poor_share: Judged stays of the day, poor ones of these, and their share
-- n_before, poor_before, poor_share_before: The same of the days before
-- calls, calls_before: Call sessions that these stays are in
-- standard_error: Of the difference of the two shares, clustered by call session, since the people of one call get poor
--     together; NULL with fewer than two call sessions on one side
WITH judged AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        bool_or(class = 'poor') AS is_poor
    FROM track_quality
    WHERE
        session_date BETWEEN $first_day AND getvariable('this_call').session_date
        AND class IN ('good', 'poor')
        AND NOT (
            session_date = getvariable('this_call').session_date
            AND call_type = getvariable('this_call').call_type
            AND call_id = getvariable('this_call').call_id
            AND call_session_id = getvariable('this_call').call_session_id
        )
    GROUP BY session_date, call_type, call_id, call_session_id, user_id, user_session_id
),

valued AS (
    SELECT
        session_date, call_type, call_id, call_session_id,
        judged.session_date = getvariable('this_call').session_date AS is_that_day,
        is_poor,
        unnest(
            [
                {'dimension': 'everywhere', 'value': 'all'},
                {'dimension': 'network', 'value': network_type},
                {'dimension': 'country', 'value': country},
                {'dimension': 'client', 'value': client_name || ' ' || client_version},
                {'dimension': 'media server', 'value': current_sfu}
            ],
            recursive := true
        )
    FROM judged
    INNER JOIN participant_sessions
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    WHERE session_date BETWEEN $first_day AND getvariable('this_call').session_date
),

wanted AS (
    SELECT unnest($values, recursive := true)
),

by_call AS (
    SELECT
        dimension, value, is_that_day,
        count(*) AS n,
        count(*) FILTER (is_poor) AS poor
    FROM valued
    SEMI JOIN wanted USING (dimension, value)
    GROUP BY dimension, value, is_that_day, session_date, call_type, call_id, call_session_id
),

by_span AS (
    SELECT
        dimension, value, is_that_day,
        count(*) AS calls,
        sum(n)::BIGINT AS judged_stays,
        sum(poor)::BIGINT AS poor_stays,
        poor_stays / judged_stays AS poor_share,
        (sum(poor * poor) - 2 * poor_share * sum(poor * n) + poor_share * poor_share * sum(n * n))
        / (judged_stays * judged_stays) * calls / nullif(calls - 1, 0) AS variance
    FROM by_call
    GROUP BY dimension, value, is_that_day
)

SELECT
    dimension,
    value,
    coalesce(that_day.judged_stays, 0) AS n,
    coalesce(that_day.poor_stays, 0) AS poor,
    that_day.poor_share,
    coalesce(that_day.calls, 0) AS calls,
    coalesce(earlier.judged_stays, 0) AS n_before,
    coalesce(earlier.poor_stays, 0) AS poor_before,
    earlier.poor_share AS poor_share_before,
    coalesce(earlier.calls, 0) AS calls_before,
    sqrt(abs(that_day.variance) + abs(earlier.variance)) AS standard_error
FROM (SELECT * FROM by_span WHERE is_that_day) AS that_day
FULL JOIN (SELECT * FROM by_span WHERE NOT is_that_day) AS earlier USING (dimension, value)
