-- Microseconds since 1970 as TIMESTAMPTZ. The connection's TimeZone must be UTC.
CREATE OR REPLACE MACRO epoch_instant(microseconds) AS make_timestamp(microseconds)::TIMESTAMPTZ
