"""Keeps the call-quality metrics of Stream's Video API as Parquet tables and a DuckDB database.

The package reads in the order of the data: `api` asks, `landing` keeps the answers, `flatten` makes tables of
them, `lake` and `warehouse` hold the tables, `plan` and `survey` say what is due and what is missing, `flow` joins the
stages. `cli` and `orchestration` are two doors to it.
"""
