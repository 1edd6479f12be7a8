"""Publishing: a finished copy of the writer's database replaces the file that people open.

The whole file is copied each time, so a long backfill publishes once a minute, and at its end. A file in the place of
the published one is replaced only if we know that it is ours.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path

import duckdb

from pipeline.errors import FixStorage
from pipeline.files import quarantine, remove_leftovers, replacing, wal
from pipeline.warehouse.database import (
    ChangedDatabase,
    is_content_error,
    quarantine_database,
    read_meta,
    storage_errors,
)
from pipeline.warehouse.published import identity

__all__ = ["PUBLISH_SECONDS", "Publisher"]

PUBLISH_SECONDS = 60.0
"""Least seconds between two publications of a backfill of many days."""


class _Place(Enum):
    """What is in the place of the published file."""

    FREE = auto()
    """Nothing."""
    OURS = auto()
    """What this folder published last, or an older file of this folder that no one wrote to."""
    CHANGED = auto()
    """A file of this folder that someone wrote to: it has a write-ahead log."""
    ANOTHER_FOLDER = auto()
    """The database of another data folder."""
    IN_USE = auto()
    """A file that another program has open for writing."""
    STRAY_LOG = auto()
    """The write-ahead log of a database that does not exist."""


class Publisher:
    """Publishes `writer` at `published`.

    `owner` returns the id of the data folder that the database is made from: one folder does not replace what another
    one published.
    """

    def __init__(self, published: Path, writer: Path, *, owner: Callable[[], str]) -> None:
        self._published = published
        self._writer = writer
        self._owner = owner
        self._note = writer.with_name(f"{writer.name}.published")
        self._published_at: float | None = None
        self._interval = 0.0

    @contextlib.contextmanager
    def at_most_every(self, seconds: float) -> Iterator[None]:
        """Within the block, it is not time to publish again before so many seconds have passed."""
        self._interval = seconds
        try:
            yield
        finally:
            self._interval = 0.0

    @property
    def is_time(self) -> bool:
        """Whether the last publication is long enough ago."""
        return self._published_at is None or time.monotonic() - self._published_at >= self._interval

    def has_published(self, generation: str) -> bool:
        """Return whether this generation of the writer's database is published, and is still in place."""
        return self._last_note() == _note(generation, self._published)

    def publish(self, generation: str) -> None:
        """Replace the published file. Raises `FixStorage`, also if the file in its place is not ours to replace."""
        with storage_errors(self._published):
            self._published.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._published.parent, f".{self._published.name}.*.tmp")
            self._make_room()
            with replacing(self._published) as temporary:
                shutil.copyfile(self._writer, temporary)
                self._note.write_text(_note(generation, temporary), encoding="ascii")
        self._published_at = time.monotonic()

    def _make_room(self) -> None:
        """Act on what is in the place of the published file, so that it can be replaced."""
        path = self._published
        try:
            place = self._classify()
        except duckdb.Error as error:
            if not is_content_error(error):
                raise
            quarantine_database(path, error)
            return
        if place is _Place.ANOTHER_FOLDER:
            raise FixStorage(
                f"{path} was published from another data folder; set CALL_METRICS_WAREHOUSE to another file for this "
                "one, or move that one away"
            )
        if place is _Place.IN_USE:
            raise FixStorage(f"{path} is open for writing in another program; close it there and run again to publish")
        if place is _Place.CHANGED:
            quarantine_database(path, ChangedDatabase())
        if place is _Place.STRAY_LOG:
            quarantine(wal(path), "belongs to a database that does not exist", "another is published in its place")

    def _classify(self) -> _Place:
        """Return what is in the place of the published file. Raises what DuckDB raises for a file that is broken."""
        path = self._published
        has_log = wal(path).exists()
        if not path.exists():
            return _Place.STRAY_LOG if has_log else _Place.FREE
        if not has_log and self._last_note().endswith(f" {identity(path)}"):
            return _Place.OURS  # known without opening it: readers may have it open
        try:
            with duckdb.connect(str(path), read_only=True) as database:
                owner = read_meta(database, "owner") or ""
        except duckdb.Error as error:
            if not is_content_error(error) and (
                "lock" in str(error).lower() or isinstance(error, duckdb.ConnectionException)
            ):
                return _Place.IN_USE
            raise
        if owner not in ("", self._owner()):
            return _Place.ANOTHER_FOLDER
        return _Place.CHANGED if wal(path).exists() else _Place.OURS

    def _last_note(self) -> str:
        """Return what was noted about the last publication: its generation and the identity of the file."""
        try:
            return self._note.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""


def _note(generation: str, path: Path) -> str:
    return f"{generation} {identity(path)}"
