-- Grain: one row per part of a change: of the change of the poor share from the days against_first_day to
-- against_last_day to the days first_day to last_day (session_date, all four included). Why the share changed: by
-- another mix of publishers, or by another rate of poor ones. The contributions of all rows add up to the change. A stay
-- counts if it has a published track and is good or poor in participant_quality; unclassified stays are left out and
-- counted. Its codec is that of its worst track. Kitagawa 1955, Oaxaca 1973 and Blinder 1973 within a dimension, Shapley
-- (Shorrocks 2013) over all of them; docs/answers/changes.md has the method and its limits. No row if one of the spans
-- has no judged stay.
--
-- dimension: network_type, country, client_name, client_version, codec or current_sfu (media server); everywhere for
--     the part that belongs to no value of these
-- value: Value of the dimension, unknown where the source has none; all for everywhere
-- client_name: The client of a version, if all of its stays are of one client
-- kind: mix (the value's share of stays changed) or rate (its stays became better or worse)
-- contribution: Contribution to the change of the poor share; 0.01 is one point. 0 for a rate that does not differ from
--     what the other parts explain
-- low: Lower end of its interval: all intervals of a result together are right in 99 % of cases (Bonferroni, clustered
--     by user_id)
-- high: Upper end of that interval
-- rank: 1 for the most important part: first those whose interval is without 0, by contribution, then the others, by
--     contribution in standard errors. Equal parts have one rank. NULL if a span has fewer than 30 judged stays
-- n_before: Judged stays with the value in the span before
-- n_after: Judged stays with the value in the span after
-- poor_share_before: Their poor share before, 0 to 1; NULL if there are none
-- poor_share_after: Their poor share after
-- weight_before: Share of these stays in all judged stays before, 0 to 1
-- weight_after: Share of these stays in all judged stays after
-- effect_before: What the value adds to the poor share of a stay in the model, before; for everywhere, its constant
-- effect_after: The same, after
-- change: Change of the poor share, the same in all rows
-- change_low: Lower end of its 95 % interval, clustered by user_id
-- change_high: Upper end of that interval
-- total_poor_share_before: Poor share of all judged stays before
-- total_poor_share_after: Poor share of all judged stays after
-- judged_before: Judged stays before
-- judged_after: Judged stays after
-- left_out_before: Unclassified publishers' stays before, which count nowhere else
-- left_out_after: Unclassified publishers' stays after
(first_day, last_day, against_first_day, against_last_day) AS TABLE
WITH RECURSIVE spans AS (
    SELECT
        0 AS span,
        against_first_day::DATE AS opens,
        against_last_day::DATE AS closes
    UNION ALL
    SELECT
        1,
        first_day::DATE,
        last_day::DATE
),

-- A track id may occur with several kinds: the codec is that of the worst track's kind.
codecs AS (
    SELECT
        session_date, call_type, call_id, call_session_id, user_id, user_session_id,
        track_id AS worst_track_id,
        track_kind AS worst_track_kind,
        min(codec) AS codec
    FROM tracks
    INNER JOIN track_kinds ON tracks.track_type IS NOT DISTINCT FROM track_kinds.track_type
    GROUP BY ALL
),

published AS MATERIALIZED (
    SELECT
        spans.span,
        quality.class,
        coalesce(user_id, user_session_id, '') AS person,
        coalesce(quality.network_type, 'unknown') AS network_type,
        coalesce(quality.country, 'unknown') AS country,
        coalesce(quality.client_name, 'unknown') AS client_name,
        coalesce(quality.client_version, 'unknown') AS client_version,
        coalesce(codecs.codec, 'unknown') AS codec,
        coalesce(stays.current_sfu, 'unknown') AS current_sfu
    FROM participant_quality AS quality
    INNER JOIN spans ON quality.session_date BETWEEN spans.opens AND spans.closes
    LEFT JOIN participant_sessions AS stays
        USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)
    LEFT JOIN codecs
        USING (
            session_date, call_type, call_id, call_session_id, user_id, user_session_id,
            worst_track_id, worst_track_kind
        )
    WHERE quality.tracks > 0 AND quality.session_date BETWEEN
        least(first_day::DATE, against_first_day::DATE) AND greatest(last_day::DATE, against_last_day::DATE)
),

totals AS (
    SELECT
        count(*) FILTER (span = 0 AND class <> 'unclassified') AS judged_before,
        count(*) FILTER (span = 1 AND class <> 'unclassified') AS judged_after,
        count(*) FILTER (span = 0 AND class = 'unclassified') AS left_out_before,
        count(*) FILTER (span = 1 AND class = 'unclassified') AS left_out_after,
        count(*) FILTER (span = 0 AND class = 'poor') / nullif(judged_before, 0) AS share_before,
        count(*) FILTER (span = 1 AND class = 'poor') / nullif(judged_after, 0) AS share_after
    FROM published
    HAVING judged_before > 0 AND judged_after > 0
),

-- Stays with the same six values are a cell.
judged AS MATERIALIZED (
    SELECT
        span,
        person,
        dense_rank() OVER (ORDER BY network_type, country, client_name, client_version, codec, current_sfu) AS cell,
        network_type, country, client_name, client_version, codec, current_sfu,
        n,
        poor
    FROM (
        SELECT
            * EXCLUDE (class),
            count(*) AS n,
            count(*) FILTER (class = 'poor') AS poor
        FROM published
        WHERE class <> 'unclassified'
        GROUP BY ALL
    ) AS counted
),

labels AS MATERIALIZED (
    SELECT
        cell,
        dense_rank() OVER (ORDER BY part.dimension, part."value") AS j,
        part.dimension AS dimension,
        part."value" AS "value"
    FROM (
        SELECT
            cell,
            unnest([
                struct_pack(dimension := 'network_type', "value" := network_type),
                struct_pack(dimension := 'country', "value" := country),
                struct_pack(dimension := 'client_name', "value" := client_name),
                struct_pack(dimension := 'client_version', "value" := client_version),
                struct_pack(dimension := 'codec', "value" := codec),
                struct_pack(dimension := 'current_sfu', "value" := current_sfu)
            ]) AS part
        FROM (
            SELECT DISTINCT cell, network_type, country, client_name, client_version, codec, current_sfu
            FROM judged
        ) AS cells
    ) AS parts
),

-- The columns of the model: every value of a dimension that has several, 0 for all stays, and -1 for the time.
columns_of_cells AS MATERIALIZED (
    SELECT cell, j
    FROM labels
    WHERE dimension IN (SELECT dimension FROM labels GROUP BY dimension HAVING count(DISTINCT "value") > 1)
    UNION ALL
    SELECT DISTINCT cell, 0
    FROM labels
),

cells AS MATERIALIZED (
    SELECT
        cell,
        sum(n) FILTER (span = 0) AS n0,
        sum(n) FILTER (span = 1) AS n1,
        sum(poor)::DOUBLE AS poor,
        sum(poor * (span - 0.5)::DOUBLE) AS poor_by_time
    FROM (SELECT cell, span, n, poor FROM judged) AS counted
    GROUP BY cell
),

pairs AS MATERIALIZED (
    SELECT
        one.j,
        other.j AS k,
        coalesce(sum(n0), 0)::DOUBLE AS n0,
        coalesce(sum(n1), 0)::DOUBLE AS n1
    FROM columns_of_cells AS one
    INNER JOIN columns_of_cells AS other USING (cell)
    INNER JOIN cells USING (cell)
    GROUP BY ALL
),

sizes AS MATERIALIZED (SELECT j, n0, n1 FROM pairs WHERE j = k),

-- Level of each value: ridge regression of poor on all columns, by conjugate gradients. The penalties are stays added
-- to each value: they decide only between columns that the data cannot tell apart. The penalty on time is larger, so
-- that a version that replaces another one entirely counts as mix.
products AS MATERIALIZED (
    SELECT j, k, n0 + n1 + CASE WHEN j = k AND j > 0 THEN 0.5 ELSE 0 END AS product FROM pairs
    UNION ALL
    SELECT j, -1, (n1 - n0) / 2 FROM sizes
    UNION ALL
    SELECT -1, j, (n1 - n0) / 2 FROM sizes
    UNION ALL
    SELECT -1, -1, (n0 + n1) / 4 + 5 FROM sizes WHERE j = 0
),

targets AS (
    SELECT j, sum(poor) AS target FROM columns_of_cells INNER JOIN cells USING (cell) GROUP BY j
    UNION ALL
    SELECT -1, sum(poor_by_time) FROM cells
),

fit AS (
    SELECT
        0 AS step,
        targets.j,
        products.product AS scale,
        0.0::DOUBLE AS level,
        target AS rest,
        target / products.product AS direction
    FROM targets
    INNER JOIN products ON targets.j = products.j AND targets.j = products.k
    UNION ALL
    SELECT
        step + 1,
        j,
        scale,
        level,
        rest,
        rest / scale + direction * sum(rest * rest / scale) OVER () / size
    FROM (
        SELECT
            step, j, scale, direction, size,
            level + direction * size / curvature AS level,
            rest - image * size / curvature AS rest
        FROM (
            SELECT
                fit.*,
                image,
                sum(rest * rest / scale) OVER () AS size,
                sum(direction * image) OVER () AS curvature
            FROM fit
            INNER JOIN (
                SELECT products.j, sum(product * direction) AS image
                FROM fit
                INNER JOIN products ON fit.j = products.k
                GROUP BY products.j
            ) AS images USING (j)
        ) AS measured
        WHERE size > 1e-14 AND step < 100
    ) AS moved
),

levels AS MATERIALIZED (
    SELECT j, level FROM fit WHERE step = (SELECT max(step) FROM fit) AND j >= 0
),

expected AS (
    SELECT cell, sum(level) AS expected FROM columns_of_cells INNER JOIN levels USING (j) GROUP BY cell
),

-- Per value and person: stays, poor ones, and how many more these are than expected.
people AS MATERIALIZED (
    SELECT
        j,
        person,
        coalesce(sum(n) FILTER (span = 0), 0) AS n0,
        coalesce(sum(n) FILTER (span = 1), 0) AS n1,
        coalesce(sum(poor) FILTER (span = 0), 0) AS poor0,
        coalesce(sum(poor) FILTER (span = 1), 0) AS poor1,
        coalesce(sum(poor - n * expected) FILTER (span = 0), 0) AS excess0,
        coalesce(sum(poor - n * expected) FILTER (span = 1), 0) AS excess1
    FROM judged
    INNER JOIN expected USING (cell)
    INNER JOIN columns_of_cells USING (cell)
    GROUP BY j, person
),

everyone AS (
    SELECT
        person,
        n0 / sum(n0) OVER () AS weight0,
        n1 / sum(n1) OVER () AS weight1
    FROM people
    WHERE j = 0
),

sums AS MATERIALIZED (
    SELECT
        j,
        sum(n0) AS n0, sum(n1) AS n1, sum(poor0) AS poor0, sum(poor1) AS poor1,
        sum(excess0) / nullif(sum(n0), 0) AS excess0,
        sum(excess1) / nullif(sum(n1), 0) AS excess1,
        count(*) AS persons
    FROM people
    GROUP BY j
),

-- Variances, clustered by person; those of rates are at least binomial, with two more good and two more poor stays.
measures AS MATERIALIZED (
    SELECT
        j, persons,
        first(sums.n0) AS n0, first(sums.n1) AS n1,
        first(sums.poor0) AS poor0, first(sums.poor1) AS poor1,
        first(sums.excess1 - sums.excess0) AS moved,
        first((sums.poor0 + sums.poor1 + 2) / (sums.n0 + sums.n1 + 4)) AS rate,
        persons / greatest(persons - 1, 1) AS few,
        sqrt(greatest(
            few * sum((
                (people.excess1 - people.n1 * sums.excess1) / nullif(sums.n1, 0)
                - (people.excess0 - people.n0 * sums.excess0) / nullif(sums.n0, 0)
            ) ** 2),
            rate * (1 - rate) * first(1 / nullif(sums.n0, 0) + 1 / nullif(sums.n1, 0))
        )) AS moved_error,
        sqrt(greatest(
            few * sum((
                (people.poor1 - people.n1 * sums.poor1 / nullif(sums.n1, 0)) / nullif(sums.n1, 0)
                - (people.poor0 - people.n0 * sums.poor0 / nullif(sums.n0, 0)) / nullif(sums.n0, 0)
            ) ** 2),
            rate * (1 - rate) * first(1 / nullif(sums.n0, 0) + 1 / nullif(sums.n1, 0))
        )) AS change_error,
        greatest(
            few * sum((
                people.excess0 + people.excess1
                - (people.n0 + people.n1) * (sums.n0 * coalesce(sums.excess0, 0) + sums.n1 * coalesce(sums.excess1, 0))
                / (sums.n0 + sums.n1)
            ) ** 2) / first((sums.n0 + sums.n1) ** 2),
            rate * (1 - rate) / first(sums.n0 + sums.n1)
        ) AS level_variance
    FROM people
    INNER JOIN sums USING (j)
    GROUP BY j, persons
),

-- How much of a value's change the effect of another one (k) explains: the share of its stays that have both.
shared AS MATERIALIZED (
    SELECT
        pairs.j,
        pairs.k,
        pairs.n1 / one.n1 * other.n0 / (other.n0 + other.n1)
        + pairs.n0 / one.n0 * other.n1 / (other.n0 + other.n1) AS overlap,
        (pairs.n0 + pairs.n1) ** 2 / ((one.n0 + one.n1) * (other.n0 + other.n1)) AS likeness,
        pairs.j <> pairs.k AND likeness < 0.999 AS competes
    FROM pairs
    INNER JOIN sizes AS one ON pairs.j = one.j
    INNER JOIN sizes AS other ON pairs.k = other.j
    WHERE one.n0 > 0 AND one.n1 > 0
),

-- Change of each value's rate: matching pursuit. The value that explains most takes its whole change; what it explains
-- of the others' is subtracted; and so on, until no other value differs from 0. Values that tie share equally.
pursuit AS (
    SELECT
        0 AS step,
        j,
        0.0::DOUBLE AS effect,
        moved::DOUBLE AS rest,
        moved_error AS error,
        sqrt(n0 * n1 / (n0 + n1)) AS strength,
        greatest(sqrt(2 * ln(count(*) OVER ())), 2) AS threshold
    FROM measures
    WHERE n0 >= 5 AND n1 >= 5
    UNION ALL
    (
        WITH scored AS (
            SELECT
                *,
                abs(rest) > error * CASE WHEN effect = 0 THEN threshold ELSE 0.001 END AS differs,
                abs(rest) * strength AS score,
                max(CASE WHEN differs THEN score END) OVER () AS best
            FROM pursuit
        ),

        chosen AS (
            SELECT
                j,
                rest / count(*) OVER () AS move
            FROM scored
            WHERE differs AND score >= best * (1 - 1e-9)
        ),

        taken AS (
            SELECT shared.j, sum(overlap * move) AS taken
            FROM chosen
            INNER JOIN shared ON chosen.j = shared.k
            GROUP BY shared.j
        )

        SELECT
            step + 1,
            scored.j,
            effect + coalesce(move, 0),
            rest - coalesce(taken, 0),
            error,
            strength,
            threshold
        FROM scored
        LEFT JOIN chosen USING (j)
        LEFT JOIN taken USING (j)
        WHERE best IS NOT NULL AND step < 200
    )
),

effects AS MATERIALIZED (
    SELECT j, effect, rest FROM pursuit WHERE step = (SELECT max(step) FROM pursuit)
),

-- Values that often come together widen each other's intervals.
rate_inflation AS (
    SELECT
        shared.j,
        sqrt(1 / (1 - least(max(likeness), 0.95))) AS inflation
    FROM shared
    INNER JOIN effects ON shared.k = effects.j
    WHERE competes AND effects.effect <> 0
    GROUP BY shared.j
),

mix_inflation AS (
    SELECT
        j,
        sqrt(1 / (1 - least(max(correlation ** 2), 0.95))) AS inflation
    FROM (
        SELECT
            pairs.j,
            everything.n0 + everything.n1 AS n,
            (one.n0 + one.n1) / n AS p,
            (other.n0 + other.n1) / n AS q,
            ((pairs.n0 + pairs.n1) / n - p * q) / sqrt(p * (1 - p) * q * (1 - q)) AS correlation
        FROM pairs
        INNER JOIN sizes AS one ON pairs.j = one.j
        INNER JOIN sizes AS other ON pairs.k = other.j
        INNER JOIN sizes AS everything ON everything.j = 0
        WHERE pairs.j > 0 AND pairs.k > 0 AND pairs.j <> pairs.k
    ) AS correlations
    WHERE abs(correlation) < 0.999
    GROUP BY j
),

-- Variance of the change of each value's weight, clustered by person.
weight_errors AS (
    SELECT
        people.j,
        sqrt(greatest(
            sum((people.n1 / totals.judged_after - people.n0 / totals.judged_before) ** 2)
            - 2 * sum(
                (people.n1 / totals.judged_after - people.n0 / totals.judged_before)
                * (own.n1 / totals.judged_after * weight1 - own.n0 / totals.judged_before * weight0)
            )
            + first(
                (own.n1 / totals.judged_after) ** 2 * squares.w11
                - 2 * own.n1 / totals.judged_after * own.n0 / totals.judged_before * squares.w01
                + (own.n0 / totals.judged_before) ** 2 * squares.w00
            ),
            0
        )) AS weight_error
    FROM people
    INNER JOIN sums AS own USING (j)
    INNER JOIN everyone USING (person)
    CROSS JOIN totals
    CROSS JOIN (
        SELECT sum(weight1 ** 2) AS w11, sum(weight0 * weight1) AS w01, sum(weight0 ** 2) AS w00 FROM everyone
    ) AS squares
    GROUP BY people.j
),

known AS (
    SELECT
        j, dimension, "value",
        CASE
            WHEN dimension = 'client_version' AND min(client_name) = max(client_name) THEN min(client_name)
        END AS client_name,
        coalesce(sum(n) FILTER (span = 0), 0)::BIGINT AS n_before,
        coalesce(sum(n) FILTER (span = 1), 0)::BIGINT AS n_after,
        sum(poor) FILTER (span = 0) / n_before AS poor_share_before,
        sum(poor) FILTER (span = 1) / n_after AS poor_share_after
    FROM labels
    INNER JOIN judged USING (cell)
    GROUP BY j, dimension, "value"
),

modelled AS MATERIALIZED (
    SELECT
        known.*,
        n_before / judged_before AS weight_before,
        n_after / judged_after AS weight_after,
        coalesce(level, 0) - coalesce(effect, 0) * n_after / (n_before + n_after) AS effect_before,
        coalesce(level, 0) + coalesce(effect, 0) * n_before / (n_before + n_after) AS effect_after,
        sum((effect_before + effect_after) / 2 * weight_before) OVER (PARTITION BY dimension) AS reference,
        coalesce(effects.rest, measures.moved, 0) AS rest,
        CASE WHEN n_before > 0 AND n_after > 0 THEN coalesce(moved_error, 0) ELSE 0 END
        * coalesce(rate_inflation.inflation, 1) AS rate_error,
        coalesce(level_variance, 0) * coalesce(mix_inflation.inflation, 1) ** 2 AS level_variance,
        coalesce(weight_error, 0) AS weight_error,
        coalesce(persons, 1) AS persons
    FROM known
    CROSS JOIN totals
    LEFT JOIN levels USING (j)
    LEFT JOIN effects USING (j)
    LEFT JOIN measures USING (j)
    LEFT JOIN rate_inflation USING (j)
    LEFT JOIN mix_inflation USING (j)
    LEFT JOIN weight_errors USING (j)
),

named AS MATERIALIZED (
    SELECT
        * EXCLUDE (rest, rate_error, level_variance, weight_error, reference, j),
        'mix' AS kind,
        (weight_after - weight_before) * ((effect_before + effect_after) / 2 - reference) AS contribution,
        contribution AS middle,
        sqrt(
            ((effect_before + effect_after) / 2 - reference) ** 2 * weight_error ** 2
            + (weight_after - weight_before) ** 2 * level_variance
            + weight_error ** 2 * level_variance
        ) AS error
    FROM modelled
    UNION ALL
    SELECT
        * EXCLUDE (rest, rate_error, level_variance, weight_error, reference, j),
        'rate',
        (weight_before + weight_after) / 2 * (effect_after - effect_before),
        (weight_before + weight_after) / 2
        * (effect_after - effect_before + CASE WHEN n_before > 0 AND n_after > 0 THEN rest ELSE 0 END),
        (weight_before + weight_after) / 2 * rate_error
    FROM modelled
),

parts AS (
    SELECT * FROM named
    UNION ALL BY NAME
    SELECT
        'everywhere' AS dimension,
        NULL AS client_name,
        'all' AS "value",
        'rate' AS kind,
        judged_before AS n_before,
        judged_after AS n_after,
        share_before AS poor_share_before,
        share_after AS poor_share_after,
        1 AS weight_before,
        1 AS weight_after,
        share_before - levels_before AS effect_before,
        share_before - levels_before + share_after - share_before - explained AS effect_after,
        share_after - share_before - explained AS contribution,
        contribution AS middle,
        change_error * coalesce(inflation, 1) AS error,
        persons
    FROM totals
    CROSS JOIN (SELECT sum(weight_before * effect_before) AS levels_before FROM modelled) AS levels_of_all
    CROSS JOIN (SELECT sum(contribution) AS explained FROM named) AS explained_by_all
    INNER JOIN measures ON measures.j = 0
    LEFT JOIN rate_inflation ON rate_inflation.j = 0
),

-- Critical value for all intervals at once (Bonferroni, 99 %): the normal quantile by Abramowitz and Stegun 26.2.23,
-- widened for few persons by the first term of Student's t (26.7.5).
quantiles AS (
    SELECT
        sqrt(-2 * ln(0.01 / (2 * greatest(count(*), 1)))) AS t,
        t - (2.515517 + 0.802853 * t + 0.010328 * t * t)
        / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t) AS z
    FROM parts
    WHERE error > 0
),

bounded AS (
    SELECT
        *,
        z + (z ** 3 + z) / (4 * greatest(persons - 1, 1)) AS critical,
        least(contribution, middle - critical * error) AS low,
        greatest(contribution, middle + critical * error) AS high
    FROM parts
    CROSS JOIN quantiles
)

SELECT
    dimension,
    "value",
    client_name,
    kind,
    contribution,
    low,
    high,
    CASE WHEN judged_before >= 30 AND judged_after >= 30 THEN
        rank() OVER (
            ORDER BY
                low > 0 OR high < 0 DESC,
                CASE
                    WHEN low > 0 OR high < 0 THEN round(abs(contribution), 12)
                    ELSE round(coalesce(abs(contribution) / nullif(error, 0), 0), 9)
                END DESC
        )
    END AS rank,
    n_before,
    n_after,
    poor_share_before,
    poor_share_after,
    weight_before,
    weight_after,
    effect_before,
    effect_after,
    share_after - share_before AS change,
    change - change_critical * change_error AS change_low,
    change + change_critical * change_error AS change_high,
    share_before AS total_poor_share_before,
    share_after AS total_poor_share_after,
    judged_before,
    judged_after,
    left_out_before,
    left_out_after
FROM bounded
CROSS JOIN totals
CROSS JOIN (
    SELECT
        change_error,
        1.959964 + (1.959964 ** 3 + 1.959964) / (4 * greatest(persons - 1, 1)) AS change_critical
    FROM measures
    WHERE j = 0
) AS whole
ORDER BY rank, dimension, client_name, "value", kind
