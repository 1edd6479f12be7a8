"""Loads days of the lake into the writer's database, one transaction per day, and publishes what is finished."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.errors import FixStorage
from pipeline.files import locked
from pipeline.quality.thresholds import Row, has_thresholds, read_thresholds
from pipeline.quality.track_statistics import series_ids
from pipeline.storage import StoredFile
from pipeline.warehouse.database import (
    STORED,
    VERSION,
    EarlierDatabase,
    ForeignDatabase,
    finish_building,
    insert_rows,
    is_building,
    is_content_error,
    open_writer,
    quarantine_database,
    read_meta,
    storage_errors,
    transaction,
    write_meta,
)
from pipeline.warehouse.day import Loaded, Source, changed_tables, point_chunks
from pipeline.warehouse.definitions import definitions_mark, update_definitions
from pipeline.warehouse.packing import pack_samples
from pipeline.warehouse.publish import PUBLISH_SECONDS, Publisher
from pipeline.warehouse.published import open_published

__all__ = ["Warehouse"]

log = logging.getLogger(__name__)

INSERT_ROWS = 20_000
"""Least rows of points or tracks to insert at a time: an insert of a hundred rows costs as much as one of thousands. A
track has about a kilobyte of statistics, so at most 20 MB of them wait."""


class Warehouse:
    """The published database at `published`, and the writer's at `writer`. One process works on it at a time.

    Args:
        published: the file that people open.
        writer: the file that we write. It is there only while something is loaded that is not published, or if it is in
            another file system.
        owner: returns the id of the data folder that both are made from, see `Publisher`.
        thresholds: the file with the rows of `quality_thresholds`, read with every load; None for the defaults.
        facts: returns what views read from `store.meta`, asked with every load.
    """

    def __init__(
        self,
        published: Path,
        writer: Path,
        *,
        owner: Callable[[], str] = lambda: "",
        thresholds: Path | StoredFile | None = None,
        facts: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._published = published
        self._writer = writer
        self._owner = owner
        self._thresholds = thresholds
        self._facts = facts
        self._publisher = Publisher(published, writer, owner=owner)
        self._lock = writer.parent / "locks" / "warehouse.lock"
        self.is_due = False
        """Whether something was loaded that a later load has to publish."""

    def load(
        self,
        source: Source,
        days: Sequence[date],
        *,
        rebuild: bool = False,
        from_scratch: bool = False,
        drop: Collection[date] = (),
    ) -> Loaded:
        """Load the days whose tables have changed (all of them if `rebuild`), and publish what is finished.

        The days to `drop` are removed. Their room in the file is used by later days.

        A writer's database that is missing, broken, not ours or of an earlier version is rebuilt from all days of the
        source; with `from_scratch` that is done in any case, so that nothing of the old file is left. Raises
        `FixStorage`, and `FixSettings` if the file of thresholds is wrong.
        """
        loaded = Loaded()
        with locked(self._lock, "the database"):
            # Read under the lock: a process that had to wait must not publish thresholds from before the wait.
            thresholds = None if self._thresholds is None else read_thresholds(self._thresholds)
            facts = self._facts()
            if from_scratch:
                self._publisher.remove_writer()
            elif not self._writer.exists():
                if self._is_current(source, days, thresholds, facts, rebuild=rebuild, drop=drop):
                    self.is_due = False
                    return loaded
                self._publisher.restore_writer()
            with self._writing() as (database, is_new):
                with transaction(database):
                    if update_definitions(database, thresholds, facts):
                        _new_generation(database)
                for day in _loaded_days(database, drop):
                    _drop_day(database, day)
                    loaded.dropped.append(day)
                for day in sorted({*days, *source.days()}.difference(drop) if is_new else days):
                    loaded.rows |= _load_day(database, source, day, rebuild=rebuild)
                finish_building(database)
                generation = str(read_meta(database, "generation"))
            self.is_due = not self._publisher.has_published(generation)
            if not self.is_due:
                self._publisher.remove_copy()
            elif self._publisher.is_time:
                self._publisher.publish(generation)
                loaded.published = True
                self.is_due = False
        return loaded

    @contextlib.contextmanager
    def publishing_seldom(self, seconds: float = PUBLISH_SECONDS) -> Iterator[None]:
        """Within the block, publish at most once in so many seconds. `is_due` says whether something is left then."""
        with self._publisher.at_most_every(seconds):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Read everything that is loaded, published or not. Whoever wants to load waits. Raises `FixStorage`."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self._lock, "the database"))
            path = self._writer if self._writer.exists() else self._published
            yield stack.enter_context(open_published(path))

    def _is_current(
        self,
        source: Source,
        days: Sequence[date],
        thresholds: list[Row] | None,
        facts: Mapping[str, str],
        *,
        rebuild: bool,
        drop: Collection[date],
    ) -> bool:
        """Return whether the published database already has all that a load would give it. Nothing is written."""
        generation = self._publisher.generation
        if generation is None:
            return False
        wanted = {"version": str(VERSION), "generation": generation, "definitions": definitions_mark(), **facts}
        try:
            with open_published(self._published) as database:
                stored = dict(database.execute("SELECT name, value FROM store.meta").fetchall())
                return (
                    wanted.items() <= stored.items()
                    and has_thresholds(database, thresholds)
                    and not _loaded_days(database, drop)
                    and not any(_changed_tables(database, source, day, rebuild=rebuild) for day in days)
                )
        except (duckdb.Error, FixStorage):  # broken, or open in another program: publishing says what to do
            return False

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, bool]]:
        """Open the writer's database, and say whether it still has to get all days."""
        with storage_errors(self._writer):
            self._writer.parent.mkdir(parents=True, exist_ok=True)
            was_there = self._writer.exists()
            try:
                database = open_writer(self._writer, self._owner())
            except EarlierDatabase:
                log.warning("%s was written by an earlier version of Call Metrics; rebuilding it", self._writer)
                self._publisher.remove_writer()
                database = open_writer(self._writer, self._owner())
            except (duckdb.Error, ForeignDatabase) as error:
                if not was_there or not is_content_error(error):
                    raise
                quarantine_database(self._writer, error)
                database = open_writer(self._writer, self._owner())
            try:
                yield database, is_building(database)
                database.execute("CHECKPOINT")
            finally:
                database.close()


def _load_day(
    database: duckdb.DuckDBPyConnection, source: Source, day: date, *, rebuild: bool
) -> dict[tuple[str, date], int]:
    """Load the tables of a day that have changed, all or none of them. Returns the rows of each."""
    rows: dict[tuple[str, date], int] = {}
    changed = _changed_tables(database, source, day, rebuild=rebuild)
    if changed:
        with transaction(database):
            for table, mark in changed.items():
                rows[table, day] = _replace_table(database, source, table, day, mark)
            _new_generation(database)
    return rows


def _changed_tables(database: duckdb.DuckDBPyConnection, source: Source, day: date, *, rebuild: bool) -> dict[str, str]:
    """Return the tables of a day that are not loaded as they are in the source, with their fingerprints."""
    held = dict(
        database.execute(
            "SELECT table_name, fingerprint FROM store.loaded WHERE session_date = $day", {"day": day}
        ).fetchall()
    )
    return changed_tables(source, day, held, rebuild=rebuild)


def _replace_table(database: duckdb.DuckDBPyConnection, source: Source, table: str, day: date, mark: str) -> int:
    if table == "metric_points":
        rows = _replace_points(database, source, day)
    else:
        fresh = source.read(table, day)
        database.execute(f"DELETE FROM {table} WHERE session_date = $day", {"day": day})
        insert_rows(database, table, fresh)
        rows = fresh.num_rows
    key = {"day": day, "table": table}
    database.execute("DELETE FROM store.loaded WHERE session_date = $day AND table_name = $table", key)
    database.execute(
        "INSERT INTO store.loaded VALUES ($day, $table, $mark, $rows)", {**key, "mark": mark, "rows": rows}
    )
    return rows


def _loaded_days(database: duckdb.DuckDBPyConnection, days: Collection[date]) -> list[date]:
    """Return which of some days are loaded, oldest first."""
    if not days:
        return []
    rows = database.execute("SELECT DISTINCT session_date FROM store.loaded ORDER BY ALL").fetchall()
    return [day for (day,) in rows if day in days]


def _drop_day(database: duckdb.DuckDBPyConnection, day: date) -> None:
    with transaction(database):
        _delete_points(database, day)
        for table in (*STORED, "store.loaded"):
            database.execute(f"DELETE FROM {table} WHERE session_date = $day", {"day": day})
        _new_generation(database)


def _delete_points(database: duckdb.DuckDBPyConnection, day: date) -> None:
    first, last = series_ids(day)
    bounds = {"first": first, "last": last}
    for table in ("samples", "series"):
        database.execute(f"DELETE FROM store.{table} WHERE series_id BETWEEN $first AND $last", bounds)
    for table in ("track_statistics", "track_spans"):
        database.execute(f"DELETE FROM store.{table} WHERE track_number BETWEEN $first AND $last", bounds)


def _replace_points(database: duckdb.DuckDBPyConnection, source: Source, day: date) -> int:
    _delete_points(database, day)
    count = 0
    waiting: dict[str, list[pa.Table]] = {}
    for points, tables in point_chunks(source, day):
        for table, rows in tables.items():
            parts = waiting.setdefault(table, [])
            parts.append(rows)
            if sum(part.num_rows for part in parts) >= INSERT_ROWS:
                _insert_parts(database, table, waiting.pop(table))
        count += points
    for table, parts in waiting.items():
        _insert_parts(database, table, parts)
    return count


def _insert_parts(database: duckdb.DuckDBPyConnection, table: str, parts: list[pa.Table]) -> None:
    rows = pa.concat_tables(parts).unify_dictionaries()
    insert_rows(database, f"store.{table}", pack_samples(rows) if table == "samples" else rows)


def _new_generation(database: duckdb.DuckDBPyConnection) -> None:
    """Note that the content has changed, and has to be published."""
    write_meta(database, "generation", secrets.token_hex(8))
