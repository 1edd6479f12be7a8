-- Grain: one row, of the call session that the four ids name.
--
-- session: Its row of call_sessions
-- quality: Its row of call_quality
-- completeness: Its row of ingest_completeness_by_call; NULL in every field where there is none
SELECT session, quality, completeness
FROM call_sessions AS session
LEFT JOIN call_quality AS quality USING (session_date, call_type, call_id, call_session_id)
LEFT JOIN ingest_completeness_by_call AS completeness USING (session_date, call_type, call_id, call_session_id)
WHERE
    session.session_date = $session_date
    AND session.call_type = $call_type
    AND session.call_id = $call_id
    AND session.call_session_id = $call_session_id
