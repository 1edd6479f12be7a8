"""A DuckLake as the warehouse: Parquet files for many processes, with a catalog in PostgreSQL or a file.

A day is published by registering: its files are written first, without anyone waiting. Then, in one turn and one
transaction, the day is deleted from each table that changed and its new files are registered. Nothing is copied, so a
load costs the same however much there is. Readers see the day before or after. Conflicts do not arise, because one
process publishes at a time.

A catalog in PostgreSQL is written in place. One in a file is written as a copy that replaces it, as DuckDB lets only
one process open a file for writing: so readers never wait.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixStorage
from pipeline.files import remove_leftovers, replacing
from pipeline.quality.thresholds import Row, has_thresholds, read_thresholds
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted, read_statement
from pipeline.storage import LocalStore, Store, StoredFile
from pipeline.turns import StillMine, Turns
from pipeline.warehouse.attach import LAKE, attach, attach_to, detach_from, lake_errors, open_host
from pipeline.warehouse.database import MEMORY, STORED, VERSION, duckdb_type, read_meta, transaction, write_meta
from pipeline.warehouse.day import Loaded, Source, changed_tables
from pipeline.warehouse.definitions import has_facts, is_current, update_definitions
from pipeline.warehouse.lake_files import LakeFile, LakeFiles, TableFiles, split_path
from pipeline.warehouse.pivot import SERIES_KEY
from pipeline.warehouse.points_view import points_view

__all__ = ["Cleaned", "DuckLake"]

log = logging.getLogger(__name__)

BY_DAY = [
    *(("main", name) for name in STORED),
    *(("store", name) for name in ("series", "samples", "track_statistics", "track_spans", "loaded")),
]
"""Schemas and names of the tables that have files by day. The others are small, and only inserted into."""

LOADED = pa.schema(
    [
        pa.field("session_date", pa.date32()),
        pa.field("table_name", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("row_count", pa.int64()),
    ]
)

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
    """The warehouse in a DuckLake. Many processes may load at the same time.

    Args:
        catalog: where the lake is.
        turns: who may publish.
        owner: returns the id of the data root that the lake is made from: a lake has one.
        thresholds: the file with the rows of `quality_thresholds`, read with every load; None for the defaults.
        facts: returns what views read from `store.meta`, asked with every load.
        files: the store of the catalog's `data_path`; None for a folder of this machine.
        work: a folder of this machine in which files of a remote store are written first.
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
    ) -> None:
        self._catalog = catalog
        self._turns = turns
        self._owner = owner
        self._thresholds = thresholds
        self._facts = facts
        self._files = LakeFiles(files or LocalStore(Path(catalog.data_path)), work or Path(tempfile.gettempdir()))
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.is_due = False
        """Whether something is left to publish: never, since a load publishes what it loads."""

    def load(
        self, source: Source, days: Sequence[date], *, rebuild: bool = False, from_scratch: bool = False
    ) -> Loaded:
        """Publish the days whose tables have changed (all of them if `rebuild`).

        A lake that is missing or of an earlier version is built from all days of the source. With `from_scratch`, files
        that come out as they are stay, and everything else is removed, with all old snapshots, so that nothing of it is
        left. Raises `FixStorage`, and `FixSettings` if the file of thresholds is wrong.
        """
        loaded = Loaded()
        with self._looking() as database:
            is_ready = database is not None and self._is_prepared(database)
            held = {day: _held(database, day) for day in days} if is_ready and database is not None else {}
        is_new = not is_ready and self._prepare(loaded)
        present = self._registered() if from_scratch else {}
        for day in sorted({*days, *source.days()} if is_new else days):
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
        with self._publishing() as (database, _):
            snapshots = _rows_of(database, "ducklake_expire_snapshots", older_than=now - keep)
        with self._publishing() as (database, _):
            files = _rows_of(database, "ducklake_cleanup_old_files", older_than=now - grace)
            files += _rows_of(database, "ducklake_delete_orphaned_files", older_than=now - grace)
        return Cleaned(snapshots, files)

    def remove_everything_old(self) -> None:
        """Remove all snapshots but the present one, and all files that it does not have. Queries on them may fail.

        Raises `FixStorage`, also if a file is left.
        """
        with self._publishing() as (database, _):
            _rows_of(database, "ducklake_expire_snapshots", older_than=datetime.now(UTC) + timedelta(days=1))
        with self._publishing() as (database, _):
            database.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
            database.execute(f"CALL ducklake_delete_orphaned_files('{LAKE}', cleanup_all => true)")
            present = {path for table in _tables(database) for path in _paths(database, *table)}
        if left := sorted(self._files.all() - present):
            raise FixStorage(f"{left[0]} cannot be deleted, and may still name people; delete it by hand")

    def close(self) -> None:
        """Close the connection to PostgreSQL, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _prepare(self, loaded: Loaded) -> bool:
        """Create what is missing, and update views, comments and thresholds. Returns whether the lake was new."""
        with self._publishing() as (database, still_mine):
            # Read in our turn: a process that had to wait must not publish thresholds from before the wait.
            thresholds = self._wanted_thresholds()
            with transaction(database):
                is_new = self._create_tables(database)
                if update_definitions(database, thresholds, self._facts(), comment_view_columns=False) or is_new:
                    loaded.published = True
                still_mine()
        return is_new

    def _wanted_thresholds(self) -> list[Row] | None:
        return None if self._thresholds is None else read_thresholds(self._thresholds)

    def _is_prepared(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Return whether the lake is ours and of this version, with everything but days as it should be."""
        if ("store", "meta") not in _tables(database):
            return False
        meta = dict(database.execute("SELECT name, value FROM store.meta").fetchall())
        return (
            (meta.get("version"), meta.get("owner")) == (str(VERSION), self._owner())
            and is_current(database)
            and has_thresholds(database, self._wanted_thresholds())
            and has_facts(database, self._facts())
        )

    def _create_tables(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Create the tables, if there are none or those of an earlier version. Returns whether it did."""
        found = _tables(database)
        if found and ("store", "meta") not in found:
            raise FixStorage(f"{self._catalog} is not a lake of Call Metrics; set CALL_METRICS_WAREHOUSE to another")
        if found:
            if (version := int(read_meta(database, "version") or 0)) > VERSION:
                raise FixStorage(f"{self._catalog} was written by a later version of Call Metrics; upgrade this one")
            if (owner := read_meta(database, "owner") or "") != self._owner():
                raise FixStorage(
                    f"{self._catalog} was published from another data folder ({owner}); set CALL_METRICS_WAREHOUSE to "
                    "another lake for this one"
                )
            if version == VERSION:
                return False
            log.warning("%s was written by an earlier version of Call Metrics; rebuilding it", self._catalog)
            _drop_all(database)
        for name in STORED:
            columns = ", ".join(f"{quoted(column.name)} {duckdb_type(column.type)}" for column in TABLES[name].schema)
            database.execute(f"CREATE TABLE {name} ({columns})")
        database.execute(read_statement("pipeline.warehouse", "store"))
        database.execute(read_statement("pipeline.quality", "store"))
        for name in SERIES_KEY:
            database.execute(f"ALTER TABLE store.samples ADD COLUMN {name} VARCHAR")
        database.execute(points_view(samples_have_ids=True))
        for schema, name in BY_DAY:
            database.execute(f"ALTER TABLE {schema}.{name} SET PARTITIONED BY (session_date)")
        for name, value in {"version": str(VERSION), "owner": self._owner()}.items():
            write_meta(database, name, value)
        return True

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
        with self._publishing() as (database, still_mine):
            marks = changed_tables(source, day, _held(database, day), rebuild=rebuild)
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
        rows = _loaded_rows(database, day)
        for name, written in work.tables.items():
            rows[name] = (day, name, work.marks[name], written.rows)
        columns = zip(*(rows[name] for name in TABLES if name in rows), strict=True)
        table = pa.table([pa.array(column, item.type) for column, item in zip(columns, LOADED, strict=True)], LOADED)
        files = [*work.files(), self._files.write("store", "loaded", day, [table])]
        same = [file for file in files if present.get((file.schema, file.table, day)) == file.content]
        self._files.discard(same)
        files = [file for file in files if file not in same]
        if not files:
            return
        where = f"WHERE session_date = DATE '{day}'"
        with transaction(database):
            for file in files:
                database.execute(f"DELETE FROM {file.schema}.{file.table} {where}")
            for file in files:
                if file.path is not None:
                    database.execute(
                        f"CALL ducklake_add_data_files('{LAKE}', '{file.table}', {literal(str(file.path))}, "
                        f"schema => '{file.schema}', hive_partitioning => true)"
                    )
            counts = ", ".join(f"(SELECT count(*) FROM {file.schema}.{file.table} {where})" for file in files)
            if database.execute(f"SELECT {counts}").fetchone() != tuple(file.rows for file in files):
                raise FixStorage(f"{self._catalog} does not return {day} as it was written; nothing of it is published")
            still_mine()

    def _registered(self) -> dict[tuple[str, str, date], str]:
        """Return the content of every file of the lake, by schema, table and day."""
        found = {}
        with self._looking() as database:
            for schema, table in BY_DAY:
                for path in _paths(database, schema, table) if database is not None else ():
                    *_, day, content = split_path(path)
                    if day is not None:
                        found[schema, table, day] = content
        return found

    @contextlib.contextmanager
    def _looking(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Read the lake without a turn. Yields None if there is no lake yet."""
        if self._catalog.file is not None and not self._catalog.file.exists():
            yield None
            return
        if self._catalog.postgres is not None and self._connection is None:
            with self._publishing():  # in our turn: the first one to attach creates the catalog
                pass
        with self._attached(read_only=True) as database:
            yield database

    @contextlib.contextmanager
    def _publishing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, StillMine]]:
        """Write the lake, in our turn. Raises `FixStorage`."""
        with self._turns.of_publishing() as still_mine:
            if self._catalog.postgres is not None:
                self._files.prepare()
                with self._attached(read_only=False) as database:
                    yield database, still_mine
            else:
                with self._copy() as file, self._attached(read_only=False, file=file) as database:
                    yield database, still_mine

    @contextlib.contextmanager
    def _attached(self, *, read_only: bool, file: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Use the lake. What takes long stays open: the extensions, and the connection to PostgreSQL."""
        is_new = self._connection is None
        if self._connection is None:
            self._connection = open_host(self._catalog, MEMORY)
        if self._catalog.postgres is not None:
            if is_new:
                try:
                    attach_to(self._connection, self._catalog, read_only=False)
                except BaseException:
                    self.close()
                    raise
            with self._connection.cursor() as database, lake_errors(self._catalog):
                database.execute(f"USE {LAKE}")
                yield database
            return
        attach_to(self._connection, self._catalog, read_only=read_only, file=file)
        try:
            with lake_errors(self._catalog):
                yield self._connection
        finally:
            with lake_errors(self._catalog):
                detach_from(self._connection)

    @contextlib.contextmanager
    def _copy(self) -> Iterator[Path]:
        """Yield a copy of the catalog's file, which takes its place if the block ends well."""
        file = self._catalog.file
        assert file is not None  # noqa: S101 - for the type checker
        with lake_errors(self._catalog):
            file.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(file.parent, f".{file.name}.*.tmp*")
            with replacing(file) as temporary:
                if file.exists():
                    shutil.copyfile(file, temporary)
                yield temporary


def _tables(database: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the schemas and names of all tables in the lake."""
    query = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $lake ORDER BY ALL"
    return [(schema, name) for schema, name in database.execute(query, {"lake": LAKE}).fetchall()]


def _paths(database: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    query = f"SELECT data_file FROM ducklake_list_files('{LAKE}', '{table}', schema => '{schema}')"
    return [row[0] for row in database.execute(query).fetchall()]


def _drop_all(database: duckdb.DuckDBPyConnection) -> None:
    views = database.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = $lake AND NOT internal", {"lake": LAKE}
    ).fetchall()
    for schema, name in views:
        database.execute(f"DROP VIEW {schema}.{quoted(name)}")
    for schema, name in _tables(database):
        database.execute(f"DROP TABLE {schema}.{quoted(name)}")


def _rows_of(database: duckdb.DuckDBPyConnection, function: str, *, older_than: datetime) -> int:
    """Call a function of DuckLake that removes what is older, and return how many rows it returns."""
    query = f"CALL {function}('{LAKE}', older_than => TIMESTAMPTZ '{older_than.isoformat()}')"
    return len(database.execute(query).fetchall())


def _loaded_rows(database: duckdb.DuckDBPyConnection, day: date) -> dict[str, tuple[date, str, str, int]]:
    """Return the rows of `store.loaded` of a day, by table."""
    query = f"SELECT {', '.join(LOADED.names)} FROM store.loaded WHERE session_date = DATE '{day}'"
    return {row[1]: (row[0], row[1], row[2], row[3]) for row in database.execute(query).fetchall()}


def _held(database: duckdb.DuckDBPyConnection, day: date) -> dict[str, str]:
    """Return the fingerprints of the tables of a day that are loaded."""
    return {table: row[2] for table, row in _loaded_rows(database, day).items()}
