-- An instant of the source (see any_instant.sql), NULL before 2000 or after 2200. A zero stands for a missing value: it
-- is the year 1970 as a Unix time, and the year 1 in Go.
CREATE OR REPLACE MACRO instant(text) AS
    CASE
        WHEN any_instant(text) BETWEEN TIMESTAMPTZ '2000-01-01 00:00:00+00' AND TIMESTAMPTZ '2200-01-01 00:00:00+00'
            THEN any_instant(text)
    END
