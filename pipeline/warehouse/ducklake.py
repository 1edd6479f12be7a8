"""A DuckLake as the warehouse: Parquet files for many processes, with a catalog in PostgreSQL or a file.

A day is published by registering: its files are written first, without anyone waiting. Then, in one turn and one
transaction, the day is deleted from each table that changed and its new files are registered. Nothing is copied, so a
load costs the same however much there is. Readers see the day before or after. Conflicts do not arise, because one
process publishes at a time.

An app has its tables in schemas of its own, see `lake_tables`; `all_apps` has views over all apps of a lake. How the
lake is attached in a turn is in `lake_access`.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixStorage
from pipeline.quality.thresholds import Row, has_thresholds, read_thresholds
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted
from pipeline.storage import LocalStore, Store, StoredFile
from pipeline.turns import StillMine, Turns
from pipeline.warehouse.all_apps import update_all_apps
from pipeline.warehouse.attach import LAKE, attach, lake_errors
from pipeline.warehouse.database import VERSION, transaction
from pipeline.warehouse.day import Loaded, Source, changed_tables
from pipeline.warehouse.definitions import definitions_mark, update_definitions
from pipeline.warehouse.lake_access import LakeAccess
from pipeline.warehouse.lake_claim import LakeClaim
from pipeline.warehouse.lake_files import LakeFile, LakeFiles, TableFiles, split_path
from pipeline.warehouse.lake_tables import (
    LOADED,
    by_day,
    create_tables,
    file_paths,
    loaded_rows,
    stored_facts,
    table_names,
)

__all__ = ["Cleaned", "DuckLake"]

log = logging.getLogger(__name__)

GRACE = timedelta(days=1)
"""How long a file stays that nothing refers to any more: a query or a publication may have begun before, and none takes
a day."""


@dataclass(frozen=True)
class Cleaned:
    """What cleaning removed: snapshots, and files."""

    snapshots: int
    files: int


@dataclass(frozen=True)
class _Work:
    """What a load still has to do: the tables of a day that have changed, with their fingerprints, and their files."""

    marks: dict[str, str]
    tables: dict[str, TableFiles]

    def files(self) -> list[LakeFile]:
        return [file for table in self.tables.values() for file in table.files]


class DuckLake:
    """The warehouse of an app in a DuckLake. Many processes may load at the same time.

    Args:
        catalog: where the lake is.
        turns: who may publish.
        owner: returns the id of the data that the app's tables are made from: each app has one.
        thresholds: the file with the rows of `quality_thresholds`, read with every load; None for the defaults.
        facts: returns what views read from `store.meta`, asked with every load.
        files: the store of the catalog's `data_path`; None for a folder of this machine.
        work: a folder of this machine in which files of a remote store are written first.
        claim: the file that says which lake the Parquet files belong to; None if no other lake can have them. Two
            catalogs on the same files would delete each other's.
    """

    def __init__(
        self,
        catalog: LakeCatalog,
        *,
        turns: Turns,
        owner: Callable[[], str] = lambda: "",
        thresholds: Path | StoredFile | None = None,
        facts: Callable[[], Mapping[str, str]] = dict,
        files: Store | None = None,
        work: Path | None = None,
        claim: StoredFile | None = None,
    ) -> None:
        self._catalog = catalog
        self._claim = None if claim is None else LakeClaim(catalog, claim)
        self._owner = owner
        self._thresholds = thresholds
        self._facts = facts
        self._schemas = catalog.schemas
        self._files = LakeFiles(
            files or LocalStore(Path(catalog.data_path)), work or Path(tempfile.gettempdir()), self._schemas
        )
        self._access = LakeAccess(catalog, turns, self._files.prepare)
        self.is_due = False
        """Whether something is left to publish: never, since a load publishes what it loads."""

    def load(
        self,
        source: Source,
        days: Sequence[date],
        *,
        rebuild: bool = False,
        from_scratch: bool = False,
        drop: Collection[date] = (),
    ) -> Loaded:
        """Publish the days whose tables have changed (all of them if `rebuild`).

        The days to `drop` are removed; snapshots still show them, and their files stay, until `clean` removes both.

        A lake that is missing or of an earlier version is built from all days of the source. With `from_scratch`, files
        that come out as they are stay, and everything else is removed, with all old snapshots, so that nothing of it is
        left. Raises `FixStorage`, and `FixSettings` if the file of thresholds is wrong.
        """
        loaded = Loaded()
        with self._access.looking() as database:
            is_ready = database is not None and self._is_prepared(database)
            held = {day: self._held(database, day) for day in days} if is_ready and database is not None else {}
        is_new = not is_ready and self._prepare(loaded)
        present = self._registered() if from_scratch else {}
        if drop and not is_new:
            self._drop(drop, loaded)
        for day in sorted({*days, *source.days()}.difference(drop) if is_new else days):
            self._load_day(source, day, held.get(day, {}), loaded, rebuild=rebuild, present=present)
        if from_scratch:
            self.remove_everything_old()
        return loaded

    @contextlib.contextmanager
    def publishing_seldom(self, seconds: float = 0.0) -> Iterator[None]:  # noqa: ARG002 - as the other warehouse
        """Do nothing about it: publishing costs little here, so every load publishes."""
        yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Read what is published. Raises `FixStorage`."""
        with attach(self._catalog, read_only=True) as database, lake_errors(self._catalog):
            yield database

    def clean(self, keep: timedelta, *, grace: timedelta = GRACE) -> Cleaned:
        """Remove snapshots older than `keep`, and files that nothing refers to since `grace`. Raises `FixStorage`."""
        now = datetime.now(UTC)
        with self._access.publishing() as (database, _):
            if self._claim is not None:
                self._claim.check(database)
            snapshots = _rows_of(database, "ducklake_expire_snapshots", older_than=now - keep)
        with self._access.publishing() as (database, _):
            files = _rows_of(database, "ducklake_cleanup_old_files", older_than=now - grace)
            files += _rows_of(database, "ducklake_delete_orphaned_files", older_than=now - grace)
        return Cleaned(snapshots, files)

    def remove_everything_old(self) -> None:
        """Remove all snapshots of the lake but the present one, and all files of the app that it does not have.

        Queries on old snapshots may fail, also those on other apps. Files that other apps are writing stay.

        Raises `FixStorage`, also if a file is left.
        """
        with self._access.publishing() as (database, _):
            if self._claim is not None:
                self._claim.check(database)
            _rows_of(database, "ducklake_expire_snapshots", older_than=datetime.now(UTC) + timedelta(days=1))
        with self._access.publishing() as (database, _):
            database.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
            present = {path for table in table_names(database) for path in file_paths(database, *table)}
            self._files.discard_all_but(present)
        if left := sorted(self._files.all() - present):
            raise FixStorage(f"{left[0]} cannot be deleted, and may still name people; delete it by hand")

    def close(self) -> None:
        """Close the connection to PostgreSQL, if there is one."""
        self._access.close()

    def _prepare(self, loaded: Loaded) -> bool:
        """Create what is missing, and update views, comments and thresholds. Returns whether the lake was new."""
        with self._access.publishing() as (database, still_mine):
            # Read in our turn: a process that had to wait must not publish thresholds from before the wait.
            thresholds = self._wanted_thresholds()
            with transaction(database):
                is_new = create_tables(database, self._catalog, self._owner())
                if self._claim is not None:
                    self._claim.make(database)
                changed = update_definitions(database, thresholds, self._facts(), comment_view_columns=False)
                if update_all_apps(database) or changed or is_new:
                    loaded.published = True
                still_mine()
        return is_new

    def _wanted_thresholds(self) -> list[Row] | None:
        return None if self._thresholds is None else read_thresholds(self._thresholds)

    def _is_prepared(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Return whether the lake is ours and of this version, with everything but days as it should be."""
        wanted = {"version": str(VERSION), "owner": self._owner(), "definitions": definitions_mark(), **self._facts()}
        return (
            wanted.items() <= stored_facts(database, self._catalog).items()  # read once: each time costs requests
            and has_thresholds(database, self._wanted_thresholds())
            and (self._claim is None or self._claim.is_made(database))
        )

    def _load_day(
        self,
        source: Source,
        day: date,
        held: dict[str, str],
        loaded: Loaded,
        *,
        rebuild: bool,
        present: dict[tuple[str, str, date], str],
    ) -> None:
        """Write the files of the tables that have changed, wait for our turn, and publish them.

        `held` are the fingerprints that were published a moment ago.
        """
        work = self._write(source, day, changed_tables(source, day, held, rebuild=rebuild))
        if not work.marks:
            return
        # If this fails, the files stay: whether they were registered may be unknown. `clean` removes them if not.
        with self._access.publishing() as (database, still_mine):
            marks = changed_tables(source, day, self._held(database, day), rebuild=rebuild)
            if marks != work.marks or not all(map(self._files.exists, work.files())):
                # Another process published meanwhile, or removed what was not registered.
                self._files.discard(work.files())
                work = self._write(source, day, marks)
            if work.marks:
                self._register(database, day, work, present, still_mine)
        for table, written in work.tables.items():
            loaded.rows[table, day] = written.rows
        loaded.published |= bool(work.marks)

    def _write(self, source: Source, day: date, marks: dict[str, str]) -> _Work:
        return _Work(marks, self._files.write_tables(source, day, marks))

    def _register(
        self,
        database: duckdb.DuckDBPyConnection,
        day: date,
        work: _Work,
        present: dict[tuple[str, str, date], str],
        still_mine: StillMine,
    ) -> None:
        """Replace the day in all tables that changed by its new files, in one transaction."""
        rows = loaded_rows(database, self._schemas, day)
        for name, written in work.tables.items():
            rows[name] = (day, name, work.marks[name], written.rows)
        columns = zip(*(rows[name] for name in TABLES if name in rows), strict=True)
        table = pa.table([pa.array(column, item.type) for column, item in zip(columns, LOADED, strict=True)], LOADED)
        files = [*work.files(), self._files.write(self._schemas.internal, "loaded", day, [table])]
        same = [file for file in files if present.get((file.schema, file.table, day)) == file.content]
        self._files.discard(same)
        files = [file for file in files if file not in same]
        if not files:
            return
        where = f"WHERE session_date = DATE '{day}'"
        with transaction(database):
            for file in files:
                database.execute(f"DELETE FROM {quoted(file.schema)}.{file.table} {where}")
            for file in files:
                if file.path is not None:
                    database.execute(
                        f"CALL ducklake_add_data_files('{LAKE}', '{file.table}', {literal(str(file.path))}, "
                        f"schema => '{file.schema}', hive_partitioning => true)"
                    )
            counts = ", ".join(f"(SELECT count(*) FROM {quoted(file.schema)}.{file.table} {where})" for file in files)
            if database.execute(f"SELECT {counts}").fetchone() != tuple(file.rows for file in files):
                raise FixStorage(f"{self._catalog} does not return {day} as it was written; nothing of it is published")
            still_mine()

    def _drop(self, days: Collection[date], loaded: Loaded) -> None:
        """Remove those of some days that are there, in one transaction. Raises `FixStorage`."""
        query = f"SELECT DISTINCT session_date FROM {self._schemas.internal}.loaded"
        with self._access.publishing() as (database, still_mine):
            loaded.dropped += sorted(day for (day,) in database.execute(query).fetchall() if day in days)
            if not loaded.dropped:
                return
            dates = ", ".join(f"DATE '{day}'" for day in loaded.dropped)
            with transaction(database):
                for schema, table in by_day(self._schemas):
                    database.execute(f"DELETE FROM {quoted(schema)}.{table} WHERE session_date IN ({dates})")
                still_mine()
        loaded.published = True

    def _registered(self) -> dict[tuple[str, str, date], str]:
        """Return the content of every file of the app in the lake, by schema, table and day."""
        found = {}
        with self._access.looking() as database:
            for schema, table in by_day(self._schemas):
                for path in file_paths(database, schema, table) if database is not None else ():
                    *_, day, content = split_path(path)
                    if day is not None:
                        found[schema, table, day] = content
        return found

    def _held(self, database: duckdb.DuckDBPyConnection, day: date) -> dict[str, str]:
        """Return the fingerprints of the tables of a day that are loaded."""
        return {table: row[2] for table, row in loaded_rows(database, self._schemas, day).items()}


def _rows_of(database: duckdb.DuckDBPyConnection, function: str, *, older_than: datetime) -> int:
    """Call a function of DuckLake that removes what is older, and return how many rows it returns."""
    query = f"CALL {function}('{LAKE}', older_than => TIMESTAMPTZ '{older_than.isoformat()}')"
    return len(database.execute(query).fetchall())
