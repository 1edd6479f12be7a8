-- Grain: one row, for the call session.
--
-- session: Its row of call_sessions
-- quality: Its row of call_quality
-- completeness: Its row of ingest_completeness_by_call; NULL in every field if there is none
SELECT session, quality, completeness
FROM this_call('call_sessions') AS session
LEFT JOIN this_call('call_quality') AS quality USING (session_date, call_type, call_id, call_session_id)
LEFT JOIN this_call('ingest_completeness_by_call') AS completeness
    USING (session_date, call_type, call_id, call_session_id)
