"""Responses as they came, in append-only Parquet segments under `raw/`, and the removal of personal data.

Here is everything that writes or reads raw responses, removes personal data from them, and keeps other processes off a
day. Which requests to make from what has landed is decided in `planning`; tables are made of it in `tables`.

Read `segment` (the file format), then `writer`, `landing` (the folder), `order`, `pages` and `bodies` (reading them
back), then `redaction` and `erasure` (personal data), `days` (one process per day), and `compaction` (few large files
of a complete day).
"""
