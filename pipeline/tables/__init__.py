"""From raw responses to the Parquet tables of the lake, one day at a time.

Here is how the JSON of Participant Metrics becomes rows (`flatten`, with the arithmetic of data points in `points`),
how the tables that need the whole day are made (`joins`; incidents by `quality.incidents`), which tables must be
rebuilt (`build`, `provenance`), which fields are new (`unknown_fields`), and how files are written (`lake`). Rows are
a pure function of what has landed. Days without raw responses are the exception: their tables are kept and changed
(`pruned`). What the tables are is in `schema`, what is expected and missing in `planning`, what DuckDB makes of the
files in `warehouse`.

Read `build` first, then `flatten`, `points`, `rows`, `joins`, `lake`, `provenance` and `unknown_fields`, and `upgrade`
with `pruned` (tables of an earlier version, and of pruned days).
"""
