-- Grain: one row per version of $clients ("name version") that is compared with the one before it.
-- The columns of release_comparison, and:
--
-- client: Name and version
SELECT
    client_name || ' ' || client_version AS client,
    *
FROM release_comparison
WHERE list_contains($clients, client_name || ' ' || client_version)
