-- Grain: one row per client_name, client_version and baseline_version. Whether a version is worse than the one before it.
-- The version before it is the lower one with the most stays from 28 days before its first day to that day; if none has
-- any then, the one with the most stays at all. No row without a lower version. compare_releases compares any two.
-- docs/answers/releases.md has the method and its limits.
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
    difference_low,
    difference_high,
    verdict,
    people,
    baseline_people,
    strata,
    covered_share
FROM release_pairs
WHERE is_version_before
