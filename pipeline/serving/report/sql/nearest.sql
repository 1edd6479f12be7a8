-- Grain: one row per call session that $wanted may mean: the three most similar ones, or else the three newest.
WITH rated AS (
    SELECT
        call_session_id,
        call_cid,
        started_at,
        greatest(
            jaro_winkler_similarity(lower(call_session_id), lower($wanted)),
            jaro_winkler_similarity(lower(call_cid), lower($wanted))
        ) AS similarity
    FROM call_sessions
)

SELECT call_session_id, call_cid, started_at
FROM rated
ORDER BY CASE WHEN similarity > 0.85 THEN similarity ELSE 0 END DESC, started_at DESC NULLS LAST, call_session_id
LIMIT 3
