-- Grain: one row per client_name, client_version and baseline_version. Whether a version is worse than the one before it.
-- The version before it is the lower one with the most stays from 28 days before its first day to that day; if none has
-- any then, the one with the most stays at all. No row without a lower version. compare_releases compares any two.
-- docs/answers/releases.md has the method and its limits.
--
-- Columns of release_pairs, but is_version_before, is_live, comparisons, effective_people, standard_error
SELECT * EXCLUDE (is_version_before, is_live, comparisons, effective_people, standard_error)
FROM release_pairs
WHERE is_version_before
