-- Grain: one row. Whether a client has two versions with 200 people each, whom release_pairs asks for. It is quick, and
-- without them no release can be compared.
WITH versions AS (
    SELECT client_name, client_version
    FROM participant_sessions
    GROUP BY client_name, client_version
    HAVING count(DISTINCT coalesce(user_id, user_session_id, '')) >= 200
)

SELECT coalesce(max(versions_of_client) >= 2, false) AS enough
FROM (SELECT count(*) AS versions_of_client FROM versions GROUP BY client_name)
