-- Grain: one row: two versions of a client, compared as in release_comparison. No row if one of them was never seen.
--
-- Columns of release_pairs, but is_version_before, is_live, comparisons, effective_people, standard_error
(client, version, baseline) AS TABLE
SELECT * EXCLUDE (is_version_before, is_live, comparisons, effective_people, standard_error)
FROM release_pairs
WHERE client_name = client AND client_version = version AND baseline_version = baseline
