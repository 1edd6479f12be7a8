-- Defines this_call('name'): the rows of a table or view that belong to one call session.
--
-- The variable this_call holds the four ids of the session, as a struct. The planner treats them as constants, so
-- queries read only the day of the call.
CREATE OR REPLACE TEMP MACRO this_call(name) AS TABLE
SELECT *
FROM query_table(name)
WHERE
    session_date = getvariable('this_call').session_date
    AND call_type = getvariable('this_call').call_type
    AND call_id = getvariable('this_call').call_id
    AND call_session_id = getvariable('this_call').call_session_id
