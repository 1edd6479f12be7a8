"""Runs the queries in `sql`, on the whole database or on one call session.

What a page needs of their rows is in `content`; which call session is meant is in `find`.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from pipeline.serving.report.values import CallSession
from pipeline.sql import adapted, read_statement

__all__ = ["choose", "rows", "table"]

PACKAGE = "pipeline.serving.report"


def choose(database: duckdb.DuckDBPyConnection, session: CallSession) -> None:
    """Choose the call session that queries with `this_call` are about."""
    database.execute(read_statement(PACKAGE, "this_call"))
    database.execute("SET VARIABLE this_call = $ids", {"ids": vars(session)})


def rows(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    found: list[dict[str, Any]] = table(database, name, **parameters).to_pylist()
    return found


def table(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> pa.Table:
    """Return the rows of a query as an Arrow table."""
    return database.execute(adapted(database, read_statement(PACKAGE, name)), parameters).to_arrow_table()
