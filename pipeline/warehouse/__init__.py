"""From the Parquet tables of the lake to the one DuckDB file that people open.

DuckDB lets one process write a file, and then no one else can open it. So days are loaded into a database of our own,
one transaction per day, and a finished copy replaces the published file. Readers that have the old file open keep
reading it; later readers get the new one.

Here is what is stored (`store.sql`), how data points are pivoted for it (`pivot`), how days are loaded (`load`), how
the file is published (`publish`) and opened by readers (`published`). What the tables are is in `schema`; statistics,
views and thresholds are in `quality`.

Read `load`, `pivot`, `database`, then `publish` and `published`.
"""
