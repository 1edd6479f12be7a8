-- Grain: one row per client version that was seen from $first to $last, the newest first, with its comparison over all
-- days with the version before it, where there is one.
SELECT
    releases.client_name,
    releases.client_version,
    releases.first_day,
    releases.last_day,
    releases.publishers AS judged,
    releases.poor_share,
    compared.verdict,
    compared.baseline_version,
    compared.difference,
    compared.difference_low,
    compared.difference_high
FROM client_releases AS releases
LEFT JOIN release_comparison AS compared USING (client_name, client_version)
WHERE releases.last_day >= $first AND releases.first_day <= $last
ORDER BY releases.last_day DESC, releases.first_day DESC, releases.client_name, releases.client_version
