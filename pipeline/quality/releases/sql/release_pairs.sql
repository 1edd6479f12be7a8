-- Grain: one row per client_name, client_version and baseline_version, for any two versions of a client. The statistics
-- behind release_comparison and compare_releases. Filter it: all pairs of many versions take long.
-- The difference is that of the shares of poor stays per person, standardized to the network types, countries and
-- operating systems (strata) of the version's people. Its interval is an asymptotic confidence sequence (Waudby-Smith et
-- al. 2024, Annals of Statistics 52, arXiv 2103.06476), with a variance clustered by person.
--
-- client_name: The client: SDK or browser, as received
-- client_version: The version that is judged
-- baseline_version: The version that it is compared with
-- publishers: Judged stays of the version; unclassified ones count nowhere
-- poor: Poor ones of these
-- poor_share: poor / publishers, 0 to 1; NULL if publishers is 0
-- baseline_publishers: Judged stays of the baseline
-- baseline_poor: Poor ones of these
-- baseline_poor_share: baseline_poor / baseline_publishers
-- difference: How much larger the poor share is than the baseline's on the same networks, countries and operating
--     systems; 0.01 is one point, below 0 is better. NULL if no stratum can be compared
-- difference_low: Lower end of its interval, which holds however often one looks; NULL if there are too few people
-- difference_high: Upper end of that interval
-- verdict: worse or better if the interval is without 0, else no difference seen; too few with fewer than 200 people of
--     either version in the strata that are compared
-- people: People of the version in the strata that are compared
-- baseline_people: People of the baseline in these strata
-- strata: Combinations of network, country and operating system that are compared: those with 20 people of each version
-- covered_share: Share of the version's judged people in these strata, 0 to 1; NULL if nobody is judged
-- is_version_before: Whether the baseline is the version before it, see release_comparison
-- is_live: Whether the version was seen in the 28 days up to the newest day of its client
-- comparisons: Versions of the client that share the error rate of 5 %: live ones with 200 judged people and a lower
--     version with as many; at least 1
-- effective_people: n m / (n + m) for n and m people in one stratum; the time of the confidence sequence
-- standard_error: Standard error of the difference, clustered by person
WITH people AS MATERIALIZED (
    SELECT
        client_name, client_version, network_type, country, os, user_id,
        poor / publishers AS share
    FROM release_people
    WHERE publishers > 0
),

releases AS MATERIALIZED (
    SELECT
        *,
        last_day >= max(last_day) OVER (PARTITION BY client_name) - 28 AS is_live
    FROM client_releases
),

-- How many versions share the error rate.
shared AS (
    SELECT
        client_name,
        greatest(count(*) FILTER (is_live AND people >= 200 AND lower_people >= 200), 1) AS comparisons
    FROM (
        SELECT
            client_name, people, is_live,
            max(people) OVER (
                PARTITION BY client_name
                ORDER BY version_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS lower_people
        FROM releases
    ) AS lower_releases
    GROUP BY client_name
),

stays_by_day AS (
    SELECT client_name, client_version, session_date, count(*) AS stays
    FROM participant_sessions
    GROUP BY ALL
),

use_before AS (
    SELECT
        one.client_name,
        one.client_version,
        other.client_version AS baseline_version,
        other.version_order,
        other.stays AS stays_ever,
        coalesce(sum(days.stays), 0) AS stays_then
    FROM releases AS one
    INNER JOIN releases AS other
        ON one.client_name = other.client_name AND one.version_order > other.version_order
    LEFT JOIN stays_by_day AS days
        ON
            other.client_name = days.client_name
            AND other.client_version = days.client_version
            AND days.session_date BETWEEN one.first_day - 28 AND one.first_day
    GROUP BY ALL
),

versions_before AS (
    SELECT
        client_name,
        client_version,
        first(baseline_version ORDER BY stays_then DESC, stays_ever DESC, version_order DESC) AS version_before
    FROM use_before
    GROUP BY ALL
),

pairs AS NOT MATERIALIZED (
    SELECT
        one.client_name,
        one.client_version,
        other.client_version AS baseline_version,
        coalesce(other.client_version = versions_before.version_before, false) AS is_version_before
    FROM releases AS one
    INNER JOIN releases AS other
        ON one.client_name = other.client_name AND one.client_version <> other.client_version
    LEFT JOIN versions_before
        ON one.client_name = versions_before.client_name AND one.client_version = versions_before.client_version
),

strata AS MATERIALIZED (
    SELECT
        client_name, client_version, network_type, country, os,
        count(*) AS n,
        avg(share) AS mean,
        sum(share * share) AS squares
    FROM people
    GROUP BY ALL
    HAVING n >= 20
),

-- variance: of a person's share, with the people of both versions together
compared AS NOT MATERIALIZED (
    SELECT
        pairs.*,
        fresh.network_type,
        fresh.country,
        fresh.os,
        fresh.n,
        fresh.mean,
        base.n AS base_n,
        base.mean AS base_mean,
        greatest(
            (fresh.squares + base.squares) / (fresh.n + base.n)
            - ((fresh.n * fresh.mean + base.n * base.mean) / (fresh.n + base.n)) ** 2,
            0
        ) AS variance,
        fresh.n / sum(fresh.n) OVER (
            PARTITION BY pairs.client_name, pairs.client_version, pairs.baseline_version, pairs.is_version_before
        ) AS weight
    FROM pairs
    INNER JOIN strata AS fresh
        ON pairs.client_name = fresh.client_name AND pairs.client_version = fresh.client_version
    INNER JOIN strata AS base
        ON
            pairs.client_name = base.client_name
            AND pairs.baseline_version = base.client_version
            AND fresh.network_type = base.network_type
            AND fresh.country = base.country
            AND fresh.os = base.os
),

-- What each person moves the standardized share of their version by, over all strata that the person is in.
scores AS NOT MATERIALIZED (
    SELECT
        compared.client_name, compared.client_version, compared.baseline_version, compared.is_version_before,
        false AS is_base,
        people.user_id,
        sum(weight * (share - mean) / n) AS score
    FROM compared
    INNER JOIN people USING (client_name, client_version, network_type, country, os)
    GROUP BY ALL
    UNION ALL
    SELECT
        compared.client_name, compared.client_version, compared.baseline_version, compared.is_version_before,
        true,
        people.user_id,
        sum(weight * (share - base_mean) / base_n)
    FROM compared
    INNER JOIN people
        ON
            compared.client_name = people.client_name
            AND compared.baseline_version = people.client_version
            AND compared.network_type = people.network_type
            AND compared.country = people.country
            AND compared.os = people.os
    GROUP BY ALL
),

clustered AS NOT MATERIALIZED (
    SELECT
        client_name, client_version, baseline_version, is_version_before,
        count(*) FILTER (NOT is_base) AS people,
        count(*) FILTER (is_base) AS baseline_people,
        people / (people - 1) * sum(score * score) FILTER (NOT is_base) AS variance,
        baseline_people / (baseline_people - 1) * sum(score * score) FILTER (is_base) AS base_variance
    FROM scores
    GROUP BY client_name, client_version, baseline_version, is_version_before
),

standardized AS NOT MATERIALIZED (
    SELECT
        client_name, client_version, baseline_version, is_version_before,
        count(*) AS strata,
        sum(weight * (mean - base_mean)) AS difference,
        sum(weight * weight * variance / n) AS pooled_variance,
        sum(weight * weight * variance / base_n) AS base_pooled_variance,
        sum(weight * weight * 0.25 * (1 / (n * n) + 1 / (base_n * base_n))) AS least_variance,
        1 / sum(weight * weight * (1 / n + 1 / base_n)) AS effective_people
    FROM compared
    GROUP BY client_name, client_version, baseline_version, is_version_before
),

-- The variance of each version is at least what people of both versions together would give: a version that had no poor
-- stay yet is not known exactly. rho: tuning constant of the sequence, narrowest at 500 effective people if one version
-- is compared.
measured AS NOT MATERIALIZED (
    SELECT
        *,
        sqrt(
            greatest(clustered.variance, pooled_variance)
            + greatest(base_variance, base_pooled_variance)
            + least_variance
        ) AS standard_error,
        0.016 AS rho_squared
    FROM standardized
    INNER JOIN clustered USING (client_name, client_version, baseline_version, is_version_before)
),

bounded AS NOT MATERIALIZED (
    SELECT
        pairs.*,
        one.publishers,
        one.poor,
        one.poor_share,
        other.publishers AS baseline_publishers,
        other.poor AS baseline_poor,
        other.poor_share AS baseline_poor_share,
        difference,
        coalesce(measured.people, 0) AS people,
        coalesce(measured.baseline_people, 0) AS baseline_people,
        coalesce(measured.strata, 0) AS strata,
        coalesce(measured.people, 0) / nullif(one.people, 0) AS covered_share,
        one.is_live,
        comparisons,
        effective_people,
        standard_error,
        CASE WHEN least(measured.people, measured.baseline_people) >= 200 THEN
            standard_error * sqrt(
                2 * (1 + 1 / (effective_people * rho_squared))
                * ln(sqrt(effective_people * rho_squared + 1) * comparisons / 0.05)
            )
        END AS margin
    FROM pairs
    INNER JOIN releases AS one
        ON pairs.client_name = one.client_name AND pairs.client_version = one.client_version
    INNER JOIN releases AS other
        ON pairs.client_name = other.client_name AND pairs.baseline_version = other.client_version
    INNER JOIN shared ON pairs.client_name = shared.client_name
    LEFT JOIN measured
        ON
            pairs.client_name = measured.client_name
            AND pairs.client_version = measured.client_version
            AND pairs.baseline_version = measured.baseline_version
            AND pairs.is_version_before = measured.is_version_before
)

SELECT
    client_name,
    client_version,
    baseline_version,
    publishers,
    poor,
    poor_share,
    baseline_publishers,
    baseline_poor,
    baseline_poor_share,
    difference,
    -- least() and greatest() ignore NULL
    CASE WHEN margin IS NOT NULL THEN greatest(difference - margin, -1) END AS difference_low,
    CASE WHEN margin IS NOT NULL THEN least(difference + margin, 1) END AS difference_high,
    CASE
        WHEN margin IS NULL THEN 'too few'
        WHEN difference_low > 0 THEN 'worse'
        WHEN difference_high < 0 THEN 'better'
        ELSE 'no difference seen'
    END AS verdict,
    people,
    baseline_people,
    strata,
    covered_share,
    is_version_before,
    is_live,
    comparisons,
    effective_people,
    standard_error
FROM bounded
