-- An instant of the source, given as text, as TIMESTAMPTZ in microseconds, whenever that is.
-- /api/v2/* sends Unix nanoseconds as JSON numbers, /video/* RFC 3339 strings (Stream's OpenAPI specification).
-- Numbers are told apart by magnitude: seconds (1e9), milliseconds (1e12), microseconds (1e15), nanoseconds (1e18).
-- Text that is neither is NULL. The connection's TimeZone must be UTC.
CREATE OR REPLACE MACRO any_instant(text) AS
    CASE
        WHEN try_cast(text AS DOUBLE) IS NULL THEN try_cast(text AS TIMESTAMPTZ)
        WHEN abs(try_cast(text AS DOUBLE)) < 1e11 THEN epoch_instant(round(try_cast(text AS DOUBLE) * 1e6)::BIGINT)
        WHEN abs(try_cast(text AS DOUBLE)) < 1e14 THEN epoch_instant(round(try_cast(text AS DOUBLE) * 1e3)::BIGINT)
        WHEN abs(try_cast(text AS DOUBLE)) < 1e17 THEN epoch_instant(coalesce(try_cast(text AS BIGINT), try_cast(text AS DOUBLE)::BIGINT))
        WHEN abs(try_cast(text AS DOUBLE)) < 9e18 THEN epoch_instant(coalesce(try_cast(text AS BIGINT), try_cast(text AS DOUBLE)::BIGINT) // 1000)
    END
