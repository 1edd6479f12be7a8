"""The releases in use that can be compared with the one before, from a database."""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb

from pipeline.sql import read_statement

__all__ = ["compared_releases"]

_statement = partial(read_statement, "pipeline.quality.releases")


def compared_releases(database: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of `compared_releases.sql`, the worst release first."""
    if database.execute(_statement("enough_people")).fetchone() == (False,):  # most apps, most days
        return []
    rows: list[dict[str, Any]] = database.execute(_statement("compared_releases")).to_arrow_table().to_pylist()
    return rows
