"""From the Parquet tables to what people open: one DuckDB file, or a DuckLake that several machines write.

DuckDB lets one process write a file, and then no one else can open it. So days are loaded into a database of our own,
one transaction per day. Once it is finished, it is moved to the place of the published file. Readers that have the old
file open keep reading it; later readers get the new one. The next load begins with a copy of the published file.

A DuckLake instead gets new Parquet files for a day, registered in one transaction; nothing is copied. Views, statistics
and what is loaded are the same. `choice` decides by CALL_METRICS_WAREHOUSE which of the two it is.

Here is what is stored (`store.sql`), how data points are pivoted (`pivot`) and packed for it (`packing`), how days are
loaded (`load`), how the file is published (`publish`) and opened by readers (`published`). What the tables are is in
`schema`; statistics, views and thresholds are in `quality`.

Read `load`, `day`, `pivot`, `packing`, `definitions`, `database`, then `publish` and `published`; for a DuckLake
`ducklake`, `lake_tables`, `lake_files`, `lake_claim`, `lake_access`, `attach` and `postgres` (turns of workers), and
`all_apps` for several apps.
"""
