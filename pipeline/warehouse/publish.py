"""Publishing: the writer's database, once finished, replaces the file that people open.

It is moved there, so that the data are stored once. The next load that has something to do begins with a copy of the
published file, which costs time where the file system cannot share blocks: so a long backfill publishes once a minute,
and at its end. If the two files are in different file systems, the writer's stays and is copied at each publication.

A note says what was published last: a published file that has changed since is not copied, and a file in its place is
replaced only if we know that it is ours.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path

import duckdb

from pipeline.errors import FixStorage
from pipeline.files import copy_file, move_file, quarantine, remove_leftovers, replacing, wal
from pipeline.warehouse.database import (
    ChangedDatabase,
    is_content_error,
    quarantine_database,
    read_meta,
    storage_errors,
)

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

    @property
    def generation(self) -> str | None:
        """The generation of the database that is published and unchanged since; None if there is none."""
        generation, _, noted = self._last_note().partition(" ")
        return generation if noted and noted == _mark(self._published) and not wal(self._published).exists() else None

    def has_published(self, generation: str) -> bool:
        """Return whether this generation of the writer's database is published, and is still in place."""
        return self.generation == generation

    def publish(self, generation: str) -> None:
        """Replace the published file by the writer's, which is then gone unless it is in another file system.

        Raises `FixStorage`, also if the file in its place is not ours to replace.
        """
        with storage_errors(self._published):
            self._published.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._published.parent, f".{self._published.name}.*.tmp")
            self._make_room()
            # The note comes first: if we are killed in between, the writer's file is still there for the next load.
            self._write_note(generation, self._writer)
            try:
                move_file(self._writer, self._published)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with replacing(self._published) as temporary:
                    copy_file(self._writer, temporary)
                    self._write_note(generation, temporary)
        self._published_at = time.monotonic()

    def restore_writer(self) -> None:
        """Copy what is published to the place of the writer's database, unless it has changed. Raises `FixStorage`."""
        if self.generation is None:
            return
        with storage_errors(self._writer):
            self.remove_writer()
            self._writer.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(ChangedDatabase), replacing(self._writer) as temporary:
                copy_file(self._published, temporary)
                if self.generation is None:  # another program wrote to it meanwhile
                    raise ChangedDatabase

    def remove_writer(self) -> None:
        """Delete the writer's database, and what a killed process left of a copy. Raises `FixStorage`."""
        with storage_errors(self._writer):
            self._writer.unlink(missing_ok=True)
            wal(self._writer).unlink(missing_ok=True)
            remove_leftovers(self._writer.parent, f".{self._writer.name}.*.tmp")

    def remove_copy(self) -> None:
        """Delete the writer's database if it is in the file system of the published one. Raises `FixStorage`.

        Call it when both are the same: a process was killed after `restore_writer`, before it changed anything.
        """
        with storage_errors(self._writer):
            if self._writer.stat().st_dev == self._published.stat().st_dev:
                self.remove_writer()

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
        if not has_log and self._last_note().endswith(f" {_mark(path)}"):
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
        """Return what was noted about the last publication: its generation and the mark of the file."""
        try:
            return self._note.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def _write_note(self, generation: str, path: Path) -> None:
        with replacing(self._note) as temporary:
            temporary.write_text(f"{generation} {_mark(path)}", encoding="ascii")


def _mark(path: Path) -> str | None:
    """Return what distinguishes one finished database from the next, wherever it is; None if there is none.

    The numbers of device and inode are not in it: some file systems give others after a restart.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{found.st_size} {found.st_mtime_ns}"
