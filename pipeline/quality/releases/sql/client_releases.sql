-- Grain: one row per client_name and client_version. When a version of a client was seen, and how many of its publishers
-- were poor. Stays without a known client or version are in no row. Versions are in their order as in Semantic
-- Versioning 2.0.0 (semver.org): 1.9.2, 1.10.0-beta.2, 1.10.0; any number of parts; what is no version comes last.
--
-- client_name: The client: SDK or browser, as received
-- client_version: Version of the client, as received
-- version_order: Place of the version among those of its client: 1 for the lowest
-- first_day: First day seen: session_date (UTC) of its first stay, publishing or not
-- last_day: Last day seen
-- stays: Stays, judged or not
-- people: Users with a judged stay
-- publishers: Publishers judged: stays that are good or poor in participant_quality. Unclassified ones count nowhere
-- poor: Poor ones of these
-- poor_share: poor / publishers, 0 to 1; NULL if publishers is 0
WITH releases AS (
    SELECT
        client_name,
        client_version,
        min(first_day) AS first_day,
        max(last_day) AS last_day,
        sum(stays)::BIGINT AS stays,
        count(DISTINCT user_id) FILTER (publishers > 0) AS people,
        sum(publishers)::BIGINT AS publishers,
        sum(poor)::BIGINT AS poor
    FROM release_people
    GROUP BY client_name, client_version
),

-- numbers: 1.10.0; identifiers: what follows a hyphen, as in beta.2. What follows a plus sign does not count.
parts AS (
    SELECT
        *,
        regexp_extract(
            trim(client_version),
            '^[vV]?([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$',
            ['numbers', 'identifiers']
        ) AS matched
    FROM releases
),

-- Texts that sort as the versions do: a number is its length and its digits; a space sorts before all of them, so that
-- 1.0 is before 1.0.1; a number among the identifiers is before a word. Zeros at the end do not count.
keyed AS (
    SELECT
        *,
        list_transform(
            string_split(regexp_replace(matched.numbers, '(\.0+)+$', ''), '.'),
            lambda part: lpad(length(ltrim(part, '0'))::VARCHAR, 4, '0') || ltrim(part, '0')
        ) AS numbers,
        list_transform(
            string_split(matched.identifiers, '.'),
            lambda part: CASE
                WHEN regexp_full_match(part, '[0-9]+')
                    THEN '0' || lpad(length(ltrim(part, '0'))::VARCHAR, 4, '0') || ltrim(part, '0')
                ELSE '1' || part
            END
        ) AS identifiers
    FROM parts
)

SELECT
    client_name,
    client_version,
    row_number() OVER (
        PARTITION BY client_name
        ORDER BY
            matched.numbers = '',
            CASE
                WHEN matched.numbers = '' THEN []
                WHEN matched.identifiers = '' THEN list_append(numbers, ' release')
                ELSE list_concat(list_append(numbers, ' before'), identifiers)
            END,
            client_version
    ) AS version_order,
    first_day,
    last_day,
    stays,
    people,
    publishers,
    poor,
    poor / nullif(publishers, 0) AS poor_share
FROM keyed
ORDER BY client_name, version_order
