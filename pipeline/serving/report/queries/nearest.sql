-- Grain: one row per call session that $wanted may have meant: the three most like it, else the three newest.
WITH alike AS (
    SELECT
        call_session_id,
        call_cid,
        started_at,
        greatest(
            jaro_winkler_similarity(lower(call_session_id), lower($wanted)),
            jaro_winkler_similarity(lower(call_cid), lower($wanted))
        ) AS likeness
    FROM call_sessions
)

SELECT call_session_id, call_cid, started_at
FROM alike
ORDER BY CASE WHEN likeness > 0.85 THEN likeness ELSE 0 END DESC, started_at DESC NULLS LAST, call_session_id
LIMIT 3
