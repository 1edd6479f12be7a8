-- Grain: one row per part of the change, most important first. The columns are those of the macro.
FROM explain_change($since, $until, $against_since, $against_until)
