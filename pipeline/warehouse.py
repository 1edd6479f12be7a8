"""The tables in one DuckDB file that people open, and the one behind it that we write.

DuckDB lets one process write a file, and then nobody else open it. So days are loaded into a database of our own, one
transaction a day, and a finished copy takes the place of the published file: who has the old one open keeps reading it,
who comes next gets the new one. What the tables are is `tables.py`'s, where their rows come from `lake.py`'s business.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from pipeline.asides import first_line, set_aside
from pipeline.errors import FixStorage
from pipeline.samples import SERIES, numbered, whole_tracks
from pipeline.sql import statement
from pipeline.tables import TABLES, Table
from pipeline.track_statistics import measured
from pipeline.views import create_views, read_thresholds, replace_thresholds

__all__ = ["Loaded", "Source", "Warehouse", "identity", "open_published"]

log = logging.getLogger(__name__)

VERSION = 3
"""Of what is in `store`. A writer's database of an earlier one is made anew from the tables, a later one refused."""

BROKEN = ("not a valid DuckDB database", "Corrupt", "Could not read enough bytes", "version number")
"""What DuckDB says where the content of a file is to blame. Its other IOExceptions pass: locks, rights, a full disk."""

MEMORY = "256MB"
STORED = [name for name in TABLES if name != "metric_points"]
"""The tables that are stored as they are; metric_points is a view on store.samples."""


class Source(Protocol):
    """Where the rows of a day come from; `lake.Lake` in production."""

    def fingerprint(self, table: str, day: date) -> str | None: ...
    def read(self, table: str, day: date) -> pa.Table: ...
    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]: ...
    def days(self) -> list[date]: ...


@dataclass
class Loaded:
    """What a load did: rows by table and day, of the days that had changed."""

    rows: dict[tuple[str, date], int] = field(default_factory=dict)
    published: bool = False


class Warehouse:
    """The published database at `published`, and the writer's at `writer`. One process at a time (see `locks.py`).

    `owner` names the data folder that both are made from: one folder does not publish over what another published.
    `thresholds` is the file that quality_thresholds is read from at every load; without one it has the defaults.
    """

    def __init__(
        self, published: Path, writer: Path, *, owner: Callable[[], str] = lambda: "", thresholds: Path | None = None
    ) -> None:
        self._published = published
        self._writer = writer
        self._owner = owner
        self._thresholds = thresholds
        self._note = writer.with_name(f"{writer.name}.published")
        self._published_at: float | None = None
        self._patience = 0.0
        self.is_due = False
        """Whether something was loaded and left to be published by a later load."""

    @contextlib.contextmanager
    def publishing_seldom(self, seconds: float) -> Iterator[None]:
        """Within the block, a load that comes sooner than so long after the last publishing does not publish."""
        self._patience = seconds
        try:
            yield
        finally:
            self._patience = 0.0

    def load(self, source: Source, days: Sequence[date], *, anew: bool = False) -> Loaded:
        """Load the days whose tables have changed, one transaction each, and publish what is finished.

        With `anew` every day counts as changed. A writer's database that is missing, broken, not ours or of an earlier
        version is made from all days of the source. Raises `FixStorage`, and `FixSettings` where the file of thresholds
        is wrong.
        """
        loaded = Loaded()
        thresholds = None if self._thresholds is None else read_thresholds(self._thresholds)
        with self._writing() as (database, is_new):
            with _transaction(database):
                if create_views(database) | replace_thresholds(database, thresholds):
                    _count_generation(database)
            for day in sorted({*days, *source.days()} if is_new else days):
                if changed := _changed(database, source, day, anew=anew):
                    with _transaction(database):
                        for table, mark in changed.items():
                            loaded.rows[table, day] = _replace_day(database, source, table, day, mark)
                        _count_generation(database)
            generation = str(_meta(database, "generation"))
            self.is_due = self._noted() != _note(generation, self._published)
        if self.is_due and self._is_time():
            self._publish(generation)
            loaded.published = True
            self.is_due = False
        return loaded

    def reading(self) -> contextlib.closing[duckdb.DuckDBPyConnection]:
        """A context with a read-only connection to the writer's database. Raises `FixStorage`."""
        return contextlib.closing(open_published(self._writer))

    def begin_anew(self) -> None:
        """Drop the writer's database: the next load makes it from the tables. Raises `FixStorage`."""
        with _storage_errors(self._writer):
            self._writer.unlink(missing_ok=True)
            _wal(self._writer).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, bool]]:
        with _storage_errors(self._writer):
            self._writer.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._writer.exists()
            try:
                database = self._open()
            except _Earlier:
                log.warning("%s is of an earlier version of Call Metrics; it is made anew", self._writer)
                self.begin_anew()
                database, is_new = self._open(), True
            except (duckdb.Error, _Foreign) as error:
                if is_new or not _is_content(error):
                    raise
                _set_aside(self._writer, error)
                database, is_new = self._open(), True
            try:
                yield database, is_new
                database.execute("CHECKPOINT")
            finally:
                database.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        database = duckdb.connect(str(self._writer))
        try:
            database.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'; SET threads = 1")
            database.execute("SET enable_progress_bar = false")
            tables = database.execute(
                "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            ).fetchall()
            if tables and ("store.meta",) not in tables:
                raise _Foreign
            if tables and (version := int(_meta(database, "version") or 0)) != VERSION:
                if version > VERSION:
                    raise FixStorage(f"{self._writer} is of a later version of Call Metrics; upgrade")
                raise _Earlier
            if not tables:
                _create(database, self._owner())
        except BaseException:
            database.close()
            raise
        return database

    def _is_time(self) -> bool:
        return self._published_at is None or time.monotonic() - self._published_at >= self._patience

    def _publish(self, generation: str) -> None:
        temporary = self._published.with_name(f".{self._published.name}.{secrets.token_hex(4)}.tmp")
        with _storage_errors(self._published):
            self._published.parent.mkdir(parents=True, exist_ok=True)
            for leftover in self._published.parent.glob(f".{self._published.name}.*.tmp"):  # of a killed run
                leftover.unlink()
            self._make_room()
            try:
                shutil.copyfile(self._writer, temporary)
                with temporary.open("rb+") as copy:
                    os.fsync(copy.fileno())
                self._note.write_text(_note(generation, temporary), encoding="ascii")
                temporary.replace(self._published)
            finally:
                temporary.unlink(missing_ok=True)
        self._published_at = time.monotonic()

    def _make_room(self) -> None:
        """Leave nothing in the place of the published file but one that may be replaced.

        Raises `FixStorage` where it is another folder's, or someone writes to it.
        """
        path = self._published
        if not _wal(path).exists():
            if not path.exists() or self._noted().endswith(f" {identity(path)}"):
                return  # what we published last, as it was: who has it open may keep it
        elif not path.exists():
            set_aside(_wal(path), "belongs to a database that is not there", "another is published in its place")
            return
        try:
            with duckdb.connect(str(path), read_only=True) as database:
                owner = _meta(database, "owner") or ""
        except duckdb.Error as error:
            if _is_content(error):
                _set_aside(path, error)
                return
            if "lock" not in str(error).lower() and not isinstance(error, duckdb.ConnectionException):
                raise
            raise FixStorage(
                f"{path} is open for writing in another program; close it there and run again to publish"
            ) from None
        if owner not in ("", self._owner()):
            raise FixStorage(
                f"{path} was published from another data folder; set CALL_METRICS_WAREHOUSE to another file for this "
                "one, or move that one away"
            )
        if _wal(path).exists():
            _set_aside(path, _Changed())

    def _noted(self) -> str:
        """Of what was published last: its generation, and what tells the file from others."""
        try:
            return self._note.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""


def open_published(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the published database, in UTC, that can reach no other file and no network.

    Raises `FixStorage` where it is missing or cannot be opened.
    """
    if not path.exists():
        raise FixStorage(f"{path} is not there yet; `call-metrics backfill` or `call-metrics demo` makes it")
    with _storage_errors(path):
        database = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
        # DuckDB shares a file that a process has open already, and its settings with it.
        if not _one(database, "SELECT current_setting('lock_configuration')"):
            database.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
    return database


class _Foreign(Exception):
    """A DuckDB file that is not ours."""

    def __str__(self) -> str:
        return "is no database of ours"


class _Earlier(Exception):
    """Our database, of an earlier version."""


class _Changed(Exception):
    """A published database that someone wrote to."""

    def __str__(self) -> str:
        return "was changed by another program"


def _create(database: duckdb.DuckDBPyConnection, owner: str) -> None:
    with _transaction(database):
        for name in STORED:
            columns = ", ".join(f"{_quoted(column.name)} {_type_name(column.type)}" for column in TABLES[name].schema)
            database.execute(f"CREATE TABLE {name} ({columns})")
        database.execute(statement("store"))
        database.execute(statement("quality"))
        for table in TABLES.values():
            _comment(database, table)
        meta = {"version": str(VERSION), "generation": "0", "owner": owner}
        database.executemany("INSERT INTO store.meta VALUES (?, ?)", list(meta.items()))


def _comment(database: duckdb.DuckDBPyConnection, table: Table) -> None:
    kind = "TABLE" if table.name in STORED else "VIEW"
    database.execute(f"COMMENT ON {kind} {table.name} IS {_literal(table.comment)}")
    for column in table.schema.names:
        comment = _literal(table.comment_of(column))
        database.execute(f"COMMENT ON COLUMN {table.name}.{_quoted(column)} IS {comment}")


def _changed(database: duckdb.DuckDBPyConnection, source: Source, day: date, *, anew: bool) -> dict[str, str]:
    """The tables of the day that are not loaded as they are in the source, with their fingerprints."""
    held = dict(
        database.execute(
            "SELECT table_name, fingerprint FROM store.loaded WHERE session_date = $day", {"day": day}
        ).fetchall()
    )
    marks = {name: source.fingerprint(name, day) for name in TABLES}
    return {name: mark for name, mark in marks.items() if mark is not None and (anew or held.get(name) != mark)}


def _replace_day(database: duckdb.DuckDBPyConnection, source: Source, table: str, day: date, mark: str) -> int:
    if table == "metric_points":
        rows = _replace_points(database, source, day)
    else:
        fresh = source.read(table, day)
        database.execute(f"DELETE FROM {table} WHERE session_date = $day", {"day": day})
        with _registered(database, "fresh", fresh):
            database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM fresh")
        rows = fresh.num_rows
    database.execute(
        "INSERT OR REPLACE INTO store.loaded VALUES ($table, $day, $mark, $rows)",
        {"table": table, "day": day, "mark": mark, "rows": rows},
    )
    return rows


def _replace_points(database: duckdb.DuckDBPyConnection, source: Source, day: date) -> int:
    first = day.toordinal() << 32
    bounds = {"first": first, "last": first + (1 << 32) - 1}
    for table in ("samples", "series"):
        database.execute(f"DELETE FROM store.{table} WHERE series_id BETWEEN $first AND $last", bounds)
    for table in ("track_statistics", "track_spans"):
        database.execute(f"DELETE FROM store.{table} WHERE track_number BETWEEN $first AND $last", bounds)
    count = 0
    for chunk in whole_tracks(source.chunks("metric_points", day, dictionaries=[*SERIES, "metric"])):
        known = measured(*numbered(chunk, first))
        for table, fresh in known.by_table.items():
            with _registered(database, "fresh", fresh):
                database.execute(f"INSERT INTO store.{table} BY NAME SELECT * FROM fresh")
        first += known.series.num_rows
        count += chunk.num_rows
    return count


def _count_generation(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("UPDATE store.meta SET value = $value WHERE name = 'generation'", {"value": secrets.token_hex(8)})


def _meta(database: duckdb.DuckDBPyConnection, name: str) -> str | None:
    value = _one(database, "SELECT value FROM store.meta WHERE name = $name", {"name": name})
    return None if value is None else str(value)


def _one(database: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object] | None = None) -> Any:
    """The first value of the first row; None where there is no row."""
    row = database.execute(query, parameters or {}).fetchone()
    return None if row is None else row[0]


def _note(generation: str, path: Path) -> str:
    """A generation, and what tells the file at `path` from others and from itself once it is written to."""
    return f"{generation} {identity(path)}"


def identity(path: Path) -> tuple[int, ...] | None:
    """Tells one published file from the next; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _wal(path: Path) -> Path:
    """Where DuckDB keeps what was written to a database and is not in its file yet."""
    return path.with_name(f"{path.name}.wal")


def _is_content(error: Exception) -> bool:
    """Whether what is in a file is to blame, rather than who has it open or what the system is short of."""
    if isinstance(error, duckdb.IOException):
        return any(words in str(error) for words in BROKEN)
    return not isinstance(error, duckdb.OutOfMemoryException | duckdb.ConnectionException)


def _set_aside(path: Path, error: Exception) -> None:
    why = f"is broken ({first_line(error)})" if isinstance(error, duckdb.Error) else str(error)
    if isinstance(error, duckdb.CatalogException):  # it has no store.meta
        why = str(_Foreign())
    set_aside(path, why, "it is made anew")


@contextlib.contextmanager
def _transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    database.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextlib.contextmanager
def _registered(database: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    database.register(name, table)
    try:
        yield
    finally:
        database.unregister(name)


@contextlib.contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.OutOfMemoryException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise FixStorage(f"{path} cannot be used ({reason}); mend it and run again") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _type_name(type_: pa.DataType) -> str:
    if pa.types.is_list(type_):
        return f"{_type_name(type_.value_type)}[]"
    return {
        "date32[day]": "DATE",
        "string": "VARCHAR",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }[str(type_)]
