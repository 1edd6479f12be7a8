"""Responses as they came: append-only Parquet segments under `raw/`, and what must not land.

Here is everything that writes or reads raw responses, removes personal data from them, and keeps other processes off a
day. Which requests to make from what has landed is decided in `planning`; tables are made of it in `tables`.

Read `segment` (the file format), then `writer`, `landing` (the folder), `pages` and `bodies` (reading them back), then
`redaction` and `erasure` (personal data), and `days` (one process per day).
"""
