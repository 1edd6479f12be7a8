-- Grain: one row per release that is compared with the version before it, has enough people for a verdict, and was seen
-- in the 28 days up to the newest day of its client: an old one cannot be stopped any more.
SELECT
    client_name,
    client_version,
    baseline_version,
    publishers,
    poor_share,
    difference,
    difference_low,
    difference_high,
    verdict
FROM release_pairs
WHERE is_version_before AND is_live AND verdict <> 'too few'
ORDER BY difference_low DESC, client_name ASC, client_version ASC
