"""Loads days of the lake into the writer's database, one transaction per day, and publishes what is finished."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from pipeline.files import locked, wal
from pipeline.quality.thresholds import read_thresholds, replace_thresholds
from pipeline.quality.track_statistics import compute_track_statistics, series_ids
from pipeline.quality.views import create_views
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted, registered
from pipeline.storage import StoredFile
from pipeline.warehouse.database import (
    STORED,
    EarlierDatabase,
    ForeignDatabase,
    is_content_error,
    open_writer,
    quarantine_database,
    read_meta,
    storage_errors,
    transaction,
    write_meta,
)
from pipeline.warehouse.pivot import SERIES_KEY, chunk_by_track, pivot_to_samples
from pipeline.warehouse.publish import PUBLISH_SECONDS, Publisher
from pipeline.warehouse.published import open_published

__all__ = ["Loaded", "Source", "Warehouse"]

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where the rows of a day come from; `Lake` in production."""

    def fingerprint(self, table: str, day: date) -> str | None: ...
    def read(self, table: str, day: date) -> pa.Table: ...
    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]: ...
    def days(self) -> list[date]: ...


@dataclass
class Loaded:
    """What a load did: rows by table and day, for the days that had changed, and whether it published."""

    rows: dict[tuple[str, date], int] = field(default_factory=dict)
    published: bool = False


class Warehouse:
    """The published database at `published`, and the writer's at `writer`. One process works on it at a time.

    Args:
        published: the file that people open.
        writer: the file that we write.
        owner: returns the id of the data folder that both are made from, see `Publisher`.
        thresholds: the file with the rows of `quality_thresholds`, read with every load; None for the defaults.
    """

    def __init__(
        self,
        published: Path,
        writer: Path,
        *,
        owner: Callable[[], str] = lambda: "",
        thresholds: Path | StoredFile | None = None,
    ) -> None:
        self._writer = writer
        self._owner = owner
        self._thresholds = thresholds
        self._publisher = Publisher(published, writer, owner=owner)
        self._lock = writer.parent / "locks" / "warehouse.lock"
        self.is_due = False
        """Whether something was loaded that a later load has to publish."""

    def load(
        self, source: Source, days: Sequence[date], *, rebuild: bool = False, from_scratch: bool = False
    ) -> Loaded:
        """Load the days whose tables have changed (all of them if `rebuild`), and publish what is finished.

        A writer's database that is missing, broken, not ours or of an earlier version is rebuilt from all days of the
        source; with `from_scratch` that is done in any case, so that nothing of the old file is left. Raises
        `FixStorage`, and `FixSettings` if the file of thresholds is wrong.
        """
        loaded = Loaded()
        with locked(self._lock, "the database"):
            # Read under the lock: a process that had to wait must not publish thresholds from before the wait.
            thresholds = None if self._thresholds is None else read_thresholds(self._thresholds)
            if from_scratch:
                self._remove_writer()
            with self._writing() as (database, is_new):
                with transaction(database):
                    if create_views(database) | _comment_tables(database) | replace_thresholds(database, thresholds):
                        _new_generation(database)
                for day in sorted({*days, *source.days()} if is_new else days):
                    loaded.rows |= _load_day(database, source, day, rebuild=rebuild)
                generation = str(read_meta(database, "generation"))
            self.is_due = not self._publisher.has_published(generation)
            if self.is_due and self._publisher.is_time:
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
        with locked(self._lock, "the database"), open_published(self._writer) as database:
            yield database

    def _remove_writer(self) -> None:
        with storage_errors(self._writer):
            self._writer.unlink(missing_ok=True)
            wal(self._writer).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, bool]]:
        """Open the writer's database, and say whether it is new."""
        with storage_errors(self._writer):
            self._writer.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._writer.exists()
            try:
                database = open_writer(self._writer, self._owner())
            except EarlierDatabase:
                log.warning("%s was written by an earlier version of Call Metrics; rebuilding it", self._writer)
                self._remove_writer()
                database, is_new = open_writer(self._writer, self._owner()), True
            except (duckdb.Error, ForeignDatabase) as error:
                if is_new or not is_content_error(error):
                    raise
                quarantine_database(self._writer, error)
                database, is_new = open_writer(self._writer, self._owner()), True
            try:
                yield database, is_new
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
    marks = {name: source.fingerprint(name, day) for name in TABLES}
    return {name: mark for name, mark in marks.items() if mark is not None and (rebuild or held.get(name) != mark)}


def _replace_table(database: duckdb.DuckDBPyConnection, source: Source, table: str, day: date, mark: str) -> int:
    if table == "metric_points":
        rows = _replace_points(database, source, day)
    else:
        fresh = source.read(table, day)
        database.execute(f"DELETE FROM {table} WHERE session_date = $day", {"day": day})
        _insert(database, table, fresh)
        rows = fresh.num_rows
    database.execute(
        "INSERT OR REPLACE INTO store.loaded VALUES ($table, $day, $mark, $rows)",
        {"table": table, "day": day, "mark": mark, "rows": rows},
    )
    return rows


def _replace_points(database: duckdb.DuckDBPyConnection, source: Source, day: date) -> int:
    first, last = series_ids(day)
    bounds = {"first": first, "last": last}
    for table in ("samples", "series"):
        database.execute(f"DELETE FROM store.{table} WHERE series_id BETWEEN $first AND $last", bounds)
    for table in ("track_statistics", "track_spans"):
        database.execute(f"DELETE FROM store.{table} WHERE track_number BETWEEN $first AND $last", bounds)
    count = 0
    for chunk in chunk_by_track(source.chunks("metric_points", day, dictionaries=[*SERIES_KEY, "metric"])):
        statistics = compute_track_statistics(*pivot_to_samples(chunk, first))
        for table, rows in statistics.by_table.items():
            _insert(database, f"store.{table}", rows)
        first += statistics.series.num_rows
        count += chunk.num_rows
    return count


def _insert(database: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    with registered(database, fresh=rows):
        database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM fresh")


def _comment_tables(database: duckdb.DuckDBPyConnection) -> bool:
    """Set the comments of tables and columns if they are outdated. Returns whether anything changed."""
    statements = []
    for table in TABLES.values():
        kind = "TABLE" if table.name in STORED else "VIEW"
        statements.append(f"COMMENT ON {kind} {table.name} IS {literal(table.comment)}")
        statements += [
            f"COMMENT ON COLUMN {table.name}.{quoted(column)} IS {literal(table.comment_of(column))}"
            for column in table.schema.names
        ]
    mark = hashlib.sha256("\0".join(statements).encode()).hexdigest()[:32]
    if read_meta(database, "comments") == mark:
        return False
    for statement in statements:
        database.execute(statement)
    write_meta(database, "comments", mark)
    return True


def _new_generation(database: duckdb.DuckDBPyConnection) -> None:
    """Note that the content has changed, and has to be published."""
    write_meta(database, "generation", secrets.token_hex(8))
