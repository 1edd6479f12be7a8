-- An instant of the source (see any_instant.sql). What lies before 2000 or after 2200 is NULL: zero stands for nothing,
-- which is the year 1970 here and the year 1 there.
CREATE OR REPLACE MACRO instant(text) AS
    CASE
        WHEN any_instant(text) BETWEEN TIMESTAMPTZ '2000-01-01 00:00:00+00' AND TIMESTAMPTZ '2200-01-01 00:00:00+00'
            THEN any_instant(text)
    END
