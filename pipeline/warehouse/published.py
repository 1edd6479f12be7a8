"""The published database, for readers: opened read-only, with no way to other files or the network.

Whoever reads it opens it here, be it a file or a DuckLake: `sql`, the report, the dashboard, and the checks in Dagster.
How it is replaced is in `publish` and `ducklake`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixStorage, first_line
from pipeline.warehouse.attach import NoLake, attach, lake_errors, lock_down
from pipeline.warehouse.database import storage_errors

__all__ = ["identity", "newest_day", "open_published", "read_errors"]


def open_published(published: Path | LakeCatalog) -> duckdb.DuckDBPyConnection:
    """Open a database read-only, in UTC. Queries can reach no other file and no network.

    A lake has more: its catalog, which a query can ask anything that the role in PostgreSQL may. Whoever lets strangers
    ask refuses table functions (see `serving.query`). Raises `FixStorage` if it is missing or cannot be opened.
    """
    return _open_lake(published) if isinstance(published, LakeCatalog) else _open_file(published)


def _open_lake(catalog: LakeCatalog) -> duckdb.DuckDBPyConnection:
    missing = f"{catalog} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
    try:
        database = attach(catalog, read_only=True)
    except NoLake:
        raise FixStorage(missing) from None
    try:
        with lake_errors(catalog):
            found = database.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'loaded'").fetchone()
            if found == (0,):
                raise FixStorage(missing)
            lock_down(database, catalog)
    except BaseException:
        database.close()
        raise
    return database


def _open_file(path: Path) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        raise FixStorage(f"{path} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it")
    with storage_errors(path):
        database = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
        # DuckDB shares a file that this process has open already, together with its settings.
        if database.execute("SELECT current_setting('lock_configuration')").fetchone() != (True,):
            database.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
    return database


def newest_day(path: Path | LakeCatalog, day: date) -> tuple[date | None, bool]:
    """Return the newest day in a published database (None if it is empty), and whether `day` is in it.

    Raises `FixStorage`.
    """
    query = "SELECT max(session_date), bool_or(session_date = $day) FROM store.loaded"
    with open_published(path) as database, read_errors(path):
        newest, is_there = database.execute(query, {"day": day}).fetchone() or (None, False)
    return newest, bool(is_there)


@contextlib.contextmanager
def read_errors(path: Path | LakeCatalog) -> Iterator[None]:
    """Translate the errors of a query of ours to `FixStorage`."""
    try:
        yield
    except duckdb.Error as error:
        reason = without_password(first_line(error))
        raise FixStorage(f"{path} cannot be used ({reason}); fix it and run again") from None


def identity(path: Path) -> tuple[int, ...] | None:
    """Return what distinguishes one published file from the next; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
