"""Keeps the call-quality metrics of Stream's Video API as Parquet tables and a DuckDB database.

This is the way of a day. `flow` joins the rooms:

    extract ──▶ landing ──▶ tables ──▶ warehouse ──▶ serving
       ▲           │                       ▲
       └─ planning ◀┘                   quality

- `extract` requests from Stream's API what is due, and `landing` keeps the responses as they came.
- `planning` reads from `landing` what should exist, what is due and what is missing.
- `tables` makes Parquet tables of the responses, `warehouse` loads them into DuckDB and publishes it.
- `quality` says how good the calls were: statistics per track, thresholds, views.
- `serving` is how people read it: SQL, a server, reports, a dashboard.
- `cli` and `orchestration` (Dagster) are the two doors. `emulator` stands in for Stream's API.
- `storage` is where files lie: in a folder or in an object store.
- `model`, `endpoints`, `schema`, `settings`, `errors`, `logs`, `files`, `sql`, `turns` (who may do what, among
  processes), `limits` (open files) and `catalog` (where a DuckLake is) are shared by all but `emulator`, which imports
  nothing else.

Read `flow` first, then the rooms in the order of the picture. `docs/architecture.md` is a tour of them.
"""
