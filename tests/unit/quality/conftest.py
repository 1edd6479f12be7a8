"""Fixtures for the tests of the views: a small world, and queries on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.small_world import Query, SmallWorld, rows_of


@pytest.fixture
def world() -> SmallWorld:
    """Return a world of one call, in which ann stays for the first minute."""
    world = SmallWorld()
    world.call()
    world.stay()
    return world


@pytest.fixture
def query(world: SmallWorld, tmp_path: Path) -> Iterator[Query]:
    """Return a function that queries the world, which is loaded at the first query."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def rows(sql: str) -> list[dict[str, Any]]:
        if not opened:
            opened.append(world.load(tmp_path))
        return rows_of(opened[0], sql)

    yield rows
    for database in opened:
        database.close()
