"""The writer's DuckDB file: how it is opened and created, its transactions, and what its errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.errors import FixStorage, first_line
from pipeline.files import quarantine
from pipeline.schema import TABLES
from pipeline.sql import adapted, quoted, read_statement
from pipeline.warehouse.points_view import points_view

__all__ = [
    "STORED",
    "VERSION",
    "ChangedDatabase",
    "EarlierDatabase",
    "ForeignDatabase",
    "duckdb_type",
    "finish_building",
    "insert_rows",
    "is_building",
    "is_content_error",
    "open_writer",
    "quarantine_database",
    "read_meta",
    "storage_errors",
    "transaction",
    "write_meta",
]

VERSION = 8
"""Version of what is in the schema `store`. A writer's database of an earlier version is rebuilt from the tables, one
of a later version is refused."""

STORED = [name for name in TABLES if name != "metric_points"]
"""Tables that are stored as they are. `metric_points` is a view on `store.samples`."""

MEMORY = "256MB"

_STORAGE_ERRORS = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,  # a commit for which the disk has no room
)

_CONTENT_ERRORS = ("not a valid DuckDB database", "Corrupt", "Could not read enough bytes", "version number")
"""What DuckDB says if the content of a file is to blame. Its other IOExceptions pass: locks, rights, a full disk."""


class ForeignDatabase(Exception):
    """A DuckDB file that is not ours."""

    def __str__(self) -> str:
        return "is not a database of Call Metrics"


class EarlierDatabase(Exception):
    """A database of ours, of an earlier version."""


class ChangedDatabase(Exception):
    """A published database that someone wrote to."""

    def __str__(self) -> str:
        return "was changed by another program"


def open_writer(path: Path, owner: str) -> duckdb.DuckDBPyConnection:
    """Open the writer's database, and create it for `owner` (see `Landing.id`) if there is none.

    Raises `ForeignDatabase`, `EarlierDatabase`, `FixStorage` for a later version, and what DuckDB raises.
    """
    database = duckdb.connect(str(path))
    try:
        database.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'; SET threads = 1")
        database.execute("SET enable_progress_bar = false")
        tables = database.execute("SELECT table_schema || '.' || table_name FROM information_schema.tables").fetchall()
        if not tables:
            _create(database, owner)
        elif ("store.meta",) not in tables:
            raise ForeignDatabase
        elif (version := int(read_meta(database, "version") or 0)) > VERSION:
            raise FixStorage(f"{path} was written by a later version of Call Metrics; upgrade this one")
        elif version < VERSION:
            raise EarlierDatabase
    except BaseException:
        database.close()
        raise
    return database


def read_meta(database: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Return a value of `store.meta`; None if there is none."""
    query = adapted(database, "SELECT value FROM store.meta WHERE name = $name")
    row = database.execute(query, {"name": name}).fetchone()
    return None if row is None else str(row[0])


def write_meta(database: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Set a value of `store.meta`."""
    database.execute(adapted(database, "DELETE FROM store.meta WHERE name = $name"), {"name": name})
    database.execute(adapted(database, "INSERT INTO store.meta VALUES ($name, $value)"), {"name": name, "value": value})


def is_building(database: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a database does not have all days yet: it is new, or a process that filled it was killed."""
    return read_meta(database, "building") is not None


def finish_building(database: duckdb.DuckDBPyConnection) -> None:
    """Note that a database has all days."""
    database.execute("DELETE FROM store.meta WHERE name = 'building'")


@contextlib.contextmanager
def transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or none of it."""
    database.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def insert_rows(database: duckdb.DuckDBPyConnection, table: str, fresh: pa.Table) -> None:  # noqa: ARG001 - see below
    """Insert rows into the columns of the same names.

    DuckDB finds `fresh` among our variables. A table that is registered would be kept until the transaction ends, and
    with it the memory of a whole day.
    """
    database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM fresh")


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate the errors of DuckDB and the system about a file to `FixStorage`."""
    try:
        yield
    except (*_STORAGE_ERRORS, OSError) as error:
        raise FixStorage(f"{path} cannot be used ({first_line(error)}); fix it and run again") from None


def is_content_error(error: Exception) -> bool:
    """Return whether the content of a file is to blame, rather than who has it open or what the system lacks."""
    if isinstance(error, duckdb.IOException):
        return any(words in str(error) for words in _CONTENT_ERRORS)
    return not isinstance(error, duckdb.OutOfMemoryException | duckdb.ConnectionException)


def quarantine_database(path: Path, error: Exception) -> None:
    """Quarantine a database that is broken, not ours, or changed by someone. Raises `OSError`."""
    why = f"is broken ({first_line(error)})" if isinstance(error, duckdb.Error) else str(error)
    if isinstance(error, duckdb.CatalogException):  # it has no store.meta
        why = str(ForeignDatabase())
    quarantine(path, why, "it will be rebuilt")


def _create(database: duckdb.DuckDBPyConnection, owner: str) -> None:
    with transaction(database):
        for name in STORED:
            columns = ", ".join(f"{quoted(column.name)} {duckdb_type(column.type)}" for column in TABLES[name].schema)
            database.execute(f"CREATE TABLE {name} ({columns})")
        database.execute(read_statement("pipeline.warehouse", "store"))
        database.execute(read_statement("pipeline.warehouse", "packed_samples"))
        database.execute(read_statement("pipeline.quality", "store"))
        database.execute(points_view(samples_have_ids=False))
        for name, value in {"version": str(VERSION), "generation": "0", "owner": owner, "building": "yes"}.items():
            write_meta(database, name, value)


def duckdb_type(type_: pa.DataType) -> str:
    """Return DuckDB's name of an Arrow type of our tables."""
    if pa.types.is_list(type_):
        return f"{duckdb_type(type_.value_type)}[]"
    return {
        "date32[day]": "DATE",
        "string": "VARCHAR",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }[str(type_)]
