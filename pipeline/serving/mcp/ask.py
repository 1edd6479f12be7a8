"""Runs one query of a stranger, with limits on rows, size, time and memory.

Which queries run is decided in `guard`. A query that does not stop by itself is ended with its process, by `workers`.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings
from pipeline.serving.mcp.guard import check_query
from pipeline.serving.mcp.results import Column, QueryResult
from pipeline.serving.mcp.workers import too_slow
from pipeline.serving.query import json_text
from pipeline.warehouse.published import open_confined

__all__ = ["MAX_ROWS", "MEMORY", "ask"]

MAX_ROWS = 10_000

MAX_CHARACTERS = 1_000_000
"""Characters of the rows as JSON. An assistant reads less; its editor may refuse more."""

BATCH_ROWS = 256

MEMORY = "1GB"
"""Memory of DuckDB for one query."""

MAX_REASON = 600
"""Characters of a message of DuckDB, which may repeat the query."""


def ask(published: Path | LakeCatalog, query: str, max_rows: int, seconds: float) -> QueryResult:
    """Return the result of a query, at most `max_rows` rows of it.

    Raises `FixStorage` if the database is missing or cannot be opened, `FixSettings` if the query is refused, fails or
    takes longer than `seconds`.
    """
    with open_confined(published, memory=MEMORY) as database, _interrupted_after(database, seconds) as is_over:
        try:
            check_query(database, query)
            database.execute(query)
            return _result(database, max_rows)
        except (duckdb.OutOfMemoryException, MemoryError):
            raise FixSettings(
                f"the query needs more than {MEMORY} of memory; select fewer days or columns, or aggregate"
            ) from None
        except duckdb.Error as error:
            if is_over.is_set():
                raise too_slow(seconds) from None
            reason = without_password(" ".join(str(error).split()))
            raise FixSettings(f"the query failed: {reason[:MAX_REASON]}") from None


def _result(database: duckdb.DuckDBPyConnection, max_rows: int) -> QueryResult:
    """Fetch rows until one of the limits."""
    columns = [Column(name=name, type=str(kind)) for name, kind, *_ in database.description or ()]
    rows: list[list[Any]] = []
    size = 0
    while batch := database.fetchmany(BATCH_ROWS):
        for row in batch:
            if len(rows) == max_rows:
                return QueryResult(columns=columns, rows=rows, truncated=f"only the first {max_rows} rows are here")
            text = json_text(row)
            size += len(text)
            if size > MAX_CHARACTERS:
                if not rows:
                    raise FixSettings("the first row alone is larger than 1 MB; select fewer or shorter columns")
                why = f"only the first {len(rows)} rows are here, since more would be larger than 1 MB"
                return QueryResult(columns=columns, rows=rows, truncated=why)
            rows.append(json.loads(text))
    return QueryResult(columns=columns, rows=rows, truncated=None)


@contextlib.contextmanager
def _interrupted_after(database: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[threading.Event]:
    """Interrupt the connection after so many seconds within the block. The event that is yielded is then set."""
    done, is_over = threading.Event(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):  # again and again: an interrupt between two batches is forgotten
            is_over.set()
            database.interrupt()
            wait = 0.1

    watcher = threading.Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        yield is_over
    finally:
        done.set()
        watcher.join()
