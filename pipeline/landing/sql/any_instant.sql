-- An instant of the source, given as text, as TIMESTAMPTZ in microseconds, at any date.
-- /api/v2/* sends Unix nanoseconds as JSON numbers, /video/* RFC 3339 strings (Stream's OpenAPI specification). The unit
-- of a number follows from its magnitude: see UNIT_LIMITS in endpoints.py, which sets the variables. Other text is NULL.
-- The connection's TimeZone must be UTC.
CREATE OR REPLACE MACRO any_instant(text) AS
    CASE
        WHEN try_cast(text AS DOUBLE) IS NULL THEN try_cast(text AS TIMESTAMPTZ)
        WHEN abs(try_cast(text AS DOUBLE)) < getvariable('s_limit')
            THEN epoch_instant(round(try_cast(text AS DOUBLE) * 1e6)::BIGINT)
        WHEN abs(try_cast(text AS DOUBLE)) < getvariable('ms_limit')
            THEN epoch_instant(round(try_cast(text AS DOUBLE) * 1e3)::BIGINT)
        WHEN abs(try_cast(text AS DOUBLE)) < getvariable('us_limit')
            THEN epoch_instant(coalesce(try_cast(text AS BIGINT), try_cast(text AS DOUBLE)::BIGINT))
        WHEN abs(try_cast(text AS DOUBLE)) < 9e18
            THEN epoch_instant(coalesce(try_cast(text AS BIGINT), try_cast(text AS DOUBLE)::BIGINT) // 1000)
    END
