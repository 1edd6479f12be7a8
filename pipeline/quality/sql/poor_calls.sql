-- Grain: one row per call session of a day ($day) with a poor publisher, or with a score of the source, of the call or of
-- one stay in it, under $low_score.
SELECT call_type, call_id, call_session_id
FROM track_quality
WHERE session_date = $day AND class = 'poor'
UNION
SELECT call_type, call_id, call_session_id
FROM call_sessions
WHERE session_date = $day AND cq_score < $low_score
UNION
SELECT call_type, call_id, call_session_id
FROM participant_sessions
WHERE session_date = $day AND cq_score < $low_score
ORDER BY ALL
