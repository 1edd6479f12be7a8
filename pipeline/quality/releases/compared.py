"""The releases in use that can be compared with the one before, from a database."""

from __future__ import annotations

from typing import Any

import duckdb

from pipeline.sql import read_statement

__all__ = ["compared_releases"]


def compared_releases(database: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of `compared_releases.sql`, the worst release first."""
    found = database.execute(read_statement("pipeline.quality.releases", "compared_releases"))
    rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows
