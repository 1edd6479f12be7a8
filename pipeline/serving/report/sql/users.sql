-- Grain: one row per user of this call session, in the order of joining.
SELECT user_id, count(*) AS stays
FROM this_call('participant_sessions')
GROUP BY user_id
ORDER BY min(joined_at) NULLS LAST, user_id
