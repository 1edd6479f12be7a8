"""New databases of tests, copied from one that was made before: creating its views takes longer than most tests."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.warehouse import load
from pipeline.warehouse.database import open_writer, transaction, write_meta
from tests.support.small_world import empty_database

__all__ = ["copy_new_databases"]


def copy_new_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each new database of this process be a copy of one that has everything but the rows of days."""
    template = empty_database()

    def open_copy(path: Path, owner: str) -> duckdb.DuckDBPyConnection:
        if path.exists():
            return open_writer(path, owner)
        path.write_bytes(template)
        database = open_writer(path, owner)
        with transaction(database):
            write_meta(database, "owner", owner)
            write_meta(database, "building", "yes")
        return database

    monkeypatch.setattr(load, "open_writer", open_copy)
