-- Grain: one row per incident during the call session whose scope some of its people belong to, earliest first. The
-- columns of incidents, and:
--
-- people: Users of the call session in the scope who were there during the incident; only $participant if it is not NULL
-- call_publishers: publishers of incident_calls; NULL if the incident affected nobody of this call session
-- call_affected: affected of incident_calls; NULL likewise
WITH people AS (
    SELECT
        user_id,
        joined_at,
        coalesce(left_at, 'infinity'::TIMESTAMPTZ) AS left_at,
        unnest(
            [
                {'scope': 'everything', 'scope_value': 'everything'},
                {'scope': 'media server', 'scope_value': current_sfu},
                {'scope': 'country', 'scope_value': coalesce(nullif(country, ''), country_iso_code)},
                {'scope': 'network', 'scope_value': network_type},
                {
                    'scope': 'client',
                    'scope_value': concat_ws(
                        ' ', nullif(client_name, ''), CASE WHEN client_name <> '' THEN nullif(client_version, '') END
                    )
                }
            ],
            recursive := true
        )
    FROM this_call('participant_sessions')
    WHERE $participant IS NULL OR user_id = $participant
),

there AS (
    SELECT incidents.started_at, incidents.scope, incidents.scope_value, count(DISTINCT people.user_id) AS people
    FROM incidents
    INNER JOIN people
        ON
            incidents.scope = people.scope
            AND incidents.scope_value = people.scope_value
            AND incidents.ended_at > people.joined_at
            AND incidents.started_at < people.left_at
    WHERE incidents.session_date = getvariable('this_call').session_date
    GROUP BY incidents.started_at, incidents.scope, incidents.scope_value
)

SELECT
    incidents.*,
    coalesce(there.people, 0) AS people,
    calls.publishers AS call_publishers,
    calls.affected AS call_affected
FROM incidents
LEFT JOIN there USING (started_at, scope, scope_value)
LEFT JOIN this_call('incident_calls') AS calls USING (started_at, scope, scope_value)
WHERE
    incidents.session_date = getvariable('this_call').session_date
    AND (there.people > 0 OR calls.affected > 0)
ORDER BY incidents.started_at, incidents.scope, incidents.scope_value
