-- Grain: one row per stay with metrics, in the order of `stay`, its number. What is known of the participant; NULL for a
-- stay that no listing names. Sources: `stays` (ids and number), `participants` (rows of participant_sessions).
SELECT
    call_type,
    call_id,
    call_session_id,
    user_id,
    participants.client_ip,
    participants.city,
    participants.country,
    participants.country_iso_code,
    participants.network_type,
    participants.client_name,
    participants.client_version,
    participants.current_sfu
FROM stays
LEFT JOIN participants USING (call_type, call_id, call_session_id, user_id, user_session_id)
ORDER BY stays.stay
