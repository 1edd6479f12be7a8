"""SQL over response bodies: a DuckDB connection that parses the JSON of each endpoint and reads its instants.

The macros follow from `endpoints`: `call_stats_body(body)` and its like parse a body to the fields that we read, NULL
if it is not JSON; `instant(text)` reads an instant. What the queries read from the bodies is in `planning` and
`tables`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from pipeline.endpoints import ENDPOINTS, UNIT_LIMITS, Field, Fields, Node
from pipeline.errors import FixStorage, first_line
from pipeline.sql import literal, read_statement, registered

__all__ = ["BodySql", "macros", "structure"]

MEMORY = "1GB"
"""Enough for a response of the largest size that we accept, of which DuckDB makes many times as much."""


class BodySql:
    """Runs statements over Arrow tables, in UTC. A context manager. Not for use by several threads.

    `temporary` is where DuckDB may store what does not fit in memory.
    """

    def __init__(self, temporary: Path | None = None) -> None:
        self._database = duckdb.connect()
        self._database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        # One thread: batches are small, and two threads spend more time on each other than they save.
        self._database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 1")
        if temporary is not None:
            self._database.execute("SET temp_directory = $folder", {"folder": str(temporary)})
        self._database.execute(macros())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def query(self, statement: str, parameters: dict[str, Any] | None = None, **tables: pa.Table) -> pa.Table:
        """Return the rows of a statement, which can use `tables` by their names."""
        with registered(self._database, **tables):
            try:
                return self._database.execute(statement, parameters or {}).to_arrow_table()
            except duckdb.OutOfMemoryException as error:
                raise FixStorage(
                    f"responses do not fit in memory or on disk ({first_line(error)}); free some"
                ) from None


@cache
def macros() -> str:
    """Return the statements that define all macros."""
    limits = "; ".join(f"SET VARIABLE {unit}_limit = {limit:g}" for unit, limit in UNIT_LIMITS.items())
    instants = [read_statement("pipeline.landing", name) for name in ("epoch_instant", "any_instant", "instant")]
    bodies = [
        f"CREATE OR REPLACE MACRO {name}_body(body) AS try(from_json(body, {literal(structure(endpoint.fields))}))"
        for name, endpoint in ENDPOINTS.items()
    ]
    return ";\n".join([limits, *instants, *bodies])


def structure(fields: Fields) -> str:
    """Return the fields that we read as a structure for DuckDB's `from_json`."""
    return json.dumps(_read(fields))


def _read(node: Node) -> Any:
    if isinstance(node, Field):
        return node.type
    if isinstance(node, list):
        return [_read(node[0])]
    if node is None:
        return None
    return {name: inner for name, child in node.items() if (inner := _read(child))}
