"""The published database, for readers: opened read-only, with no way to other files or the network.

Whoever reads it opens it here, be it a file or a DuckLake: `sql`, the report, the dashboard, and the checks in Dagster.
How it is replaced is in `publish` and `ducklake`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixStorage, first_line
from pipeline.sql import adapted, literal
from pipeline.warehouse.attach import LAKE, NoLake, attach, attach_to, lake_errors, lock_down, open_host
from pipeline.warehouse.database import is_content_error, storage_errors
from pipeline.warehouse.extensions import NO_DOWNLOADS

__all__ = ["check", "identity", "newest_day", "open_confined", "open_published", "published_at", "read_errors"]

CHECK_MEMORY = "256MB"
"""Memory of DuckDB to see whether a database can be read."""


def open_published(published: Path | LakeCatalog) -> duckdb.DuckDBPyConnection:
    """Open a database read-only, in UTC. Queries can reach no other file and no network.

    A lake has more: its catalog, which a query can ask anything that the role in PostgreSQL may. Whoever lets strangers
    ask refuses table functions (see `serving.query`). Raises `FixStorage` if it is missing or cannot be opened.
    """
    return _open_lake(published) if isinstance(published, LakeCatalog) else _open_file(published)


def _open_lake(catalog: LakeCatalog) -> duckdb.DuckDBPyConnection:
    what = f"{catalog} with tables of {catalog.app}" if catalog.app else f"{catalog}"
    missing = f"{what} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
    try:
        database = attach(catalog, read_only=True)
    except NoLake:
        raise FixStorage(missing) from None
    try:
        with lake_errors(catalog):
            found = database.execute(
                "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'loaded' AND schema_name = $internal",
                {"internal": catalog.schemas.internal},
            ).fetchone()
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
        try:
            database = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
        except duckdb.Error as error:
            if not is_content_error(error):
                raise
            raise FixStorage(f"{path} is broken ({first_line(error)}); `call-metrics rebuild` makes it again") from None
        # DuckDB shares a file that this process has open already, together with its settings.
        if database.execute("SELECT current_setting('lock_configuration')").fetchone() != (True,):
            database.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
    return database


def open_confined(published: Path | LakeCatalog, *, memory: str) -> duckdb.DuckDBPyConnection:
    """Open a database as `open_published` does, for one query of a stranger: with so much memory, and no more on disk.

    The DuckDB is in memory, with the database attached, so that it shares nothing with another connection of this
    process: not its settings, and not a file that has been replaced since. Raises `FixStorage` and `FixSettings`.
    """
    if not isinstance(published, LakeCatalog):
        return _attach_file(published, memory)
    missing = f"{published} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
    database = open_host(published, memory)
    try:
        try:
            attach_to(database, published, read_only=True)
        except NoLake:
            raise FixStorage(missing) from None
        with lake_errors(published):
            database.execute("SET temp_directory = ''; SET python_enable_replacements = false")
            lock_down(database, published)
    except BaseException:
        database.close()
        raise
    return database


def _attach_file(path: Path, memory: str) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        raise FixStorage(f"{path} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it")
    database = duckdb.connect(config=NO_DOWNLOADS | {"memory_limit": memory, "temp_directory": ""})
    try:
        with storage_errors(path):
            database.execute("SET GLOBAL TimeZone = 'UTC'; SET python_enable_replacements = false")
            database.execute(f"ATTACH {literal(str(path))} AS published (READ_ONLY)")
            database.execute("USE published; SET enable_external_access = false; SET lock_configuration = true")
    except BaseException:
        database.close()
        raise
    return database


def newest_day(path: Path | LakeCatalog, day: date) -> tuple[date | None, bool]:
    """Return the newest day in a published database (None if it is empty), and whether `day` is in it.

    Raises `FixStorage`.
    """
    query = "SELECT max(session_date), bool_or(session_date = $day) FROM store.loaded"
    with open_published(path) as database, read_errors(path):
        newest, is_there = database.execute(adapted(database, query), {"day": day}).fetchone() or (None, False)
    return newest, bool(is_there)


def published_at(published: Path | LakeCatalog) -> datetime:
    """Return when a database was published last (UTC); of a lake, by any of its apps. Raises `FixStorage`."""
    if not isinstance(published, LakeCatalog):
        with storage_errors(published):
            return datetime.fromtimestamp(published.stat().st_mtime, UTC)
    query = f"SELECT epoch(max(snapshot_time)) FROM ducklake_snapshots('{LAKE}')"
    with open_published(published) as database, read_errors(published):
        (seconds,) = database.execute(query).fetchone() or (0,)
    return datetime.fromtimestamp(seconds, UTC)


def check(published: Path | LakeCatalog) -> None:
    """Raise `FixStorage` unless a database can be opened and read.

    Uses a DuckDB of its own, so that what else this process has open neither hides a broken file nor is waited for.
    """
    with open_confined(published, memory=CHECK_MEMORY) as database, read_errors(published):
        database.execute(adapted(database, "SELECT max(session_date) FROM store.loaded")).fetchone()


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
