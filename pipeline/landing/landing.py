"""The folder of raw responses: append to a day, list what has landed, read bodies.

    raw/<endpoint>/session_date=2026-11-01/20261102T021500.123456Z-1f3a9c04.parquet

Segments appear whole or not at all and are never changed; `rewrite`, for erased people, is the one exception. Those of
a complete day are put together, see `compaction`. A segment that cannot be read is quarantined, never deleted, and its
content counts as not landed. What a response means is in `planning` and `tables`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import date
from pathlib import Path, PurePath
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.endpoints import DAILY_ENDPOINTS, ENDPOINT_NAMES, EndpointName
from pipeline.errors import Broken, FixStorage, Quarantined
from pipeline.files import day_of, folder_name
from pipeline.landing.segment import (
    INDEX_COLUMNS,
    RAW_SCHEMA,
    ROW_GROUP_ROWS,
    open_segment,
    quarantine_segment,
    replaced_by,
    unwritable,
    write_segment,
)
from pipeline.landing.writer import LandingWriter, Redact
from pipeline.storage import Store, as_store

__all__ = ["COMPACTED", "Landing", "Place"]

Place = tuple[str, int, int]
"""Where a body is: name of the segment, row group, row in the row group."""

COMPACTED = "_compacted-"
"""In the name of a segment that holds the rows of several others, which it replaces."""

READERS = 16
"""Segments of an object store that are read at the same time: a read is mostly waiting."""

LISTING_PAUSES = (0.0, 0.5, 1.0, 2.0)
"""Seconds before a day is listed again that changed while it was read, or whose listing lags behind."""

T = TypeVar("T")


class Landing:
    """All raw responses under one folder, or in a store.

    `redactor` is called when a day is opened for appending. The function that it returns is applied to every body
    before it lands.
    """

    def __init__(self, root: Path | Store, *, redactor: Callable[[], Redact] = lambda: _unchanged) -> None:
        self.store = as_store(root)
        self._redactor = redactor
        self._replaced: dict[str, tuple[str, ...]] = {}
        self._indexes: dict[tuple[str, object], pa.Table | None] = {}
        self._indexed_day: date | None = None

    def id(self) -> str:
        """Return the id of this data folder, which is created with the first call. Raises `FixStorage`.

        It is stored with the raw responses, since everything else can be made from these.
        """
        key = "folder-id"
        try:
            self.store.create(key, f"{secrets.token_hex(16)}\n".encode("ascii"))
            with self.store.open(key) as file:
                return file.read().decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FixStorage(f"{self.store.path(key)} cannot be used ({error}); fix it and run again") from None

    def folder(self, endpoint: EndpointName, day: date) -> PurePath:
        """Return the folder of an endpoint's day."""
        return self.store.path(_folder(endpoint, day))

    def days(self) -> list[date]:
        """Return the days with at least one raw response, oldest first. Raises `FixStorage`."""
        names = {name for endpoint in DAILY_ENDPOINTS for name in self.store.names(endpoint)}
        return sorted(day for name in names if (day := day_of(name)) is not None)

    def days_of(self, endpoint: EndpointName) -> list[date]:
        """Return the days with a raw response of one endpoint, oldest first. Raises `FixStorage`."""
        return sorted(day for name in self.store.names(endpoint) if (day := day_of(name)) is not None)

    def listing_once(self) -> AbstractContextManager[None]:
        """Within the block, ask an object store for the names of a day's segments once. Hold the day's lock."""
        return self.store.listing_once()

    def segments(self, endpoint: EndpointName, day: date) -> list[PurePath]:
        """Return the day's segments, oldest first. Raises `FixStorage` if they cannot be listed."""
        return [self.folder(endpoint, day) / name for name in self.names(endpoint, day)]

    def key(self, endpoint: EndpointName, day: date, name: str) -> str:
        """Return the key of a segment in the store."""
        return f"{_folder(endpoint, day)}/{name}"

    def names(self, endpoint: EndpointName, day: date) -> list[str]:
        """Return the names of the day's segments, oldest first, without those that a compacted one replaces.

        Quarantines a compacted segment that is broken. Raises `FixStorage`.
        """
        return self._again(lambda: self._names(endpoint, day))

    def origins(self, endpoint: EndpointName, day: date) -> list[str]:
        """Return the names of the segments that the day's responses landed in, in that order, compacted or not.

        Compaction does not change them. Raises `FixStorage`.
        """

        def names() -> list[str]:
            found = []
            for name in self._names(endpoint, day):
                within = [*self.replaces(endpoint, day, name), name]
                found += [origin for origin in within if COMPACTED not in origin]
            return found

        return self._again(names)

    def replaces(self, endpoint: EndpointName, day: date, name: str) -> tuple[str, ...]:
        """Return the names of the segments that a segment replaces, oldest first; none if it is not a compacted one.

        Raises `Quarantined` if it is broken or was removed.
        """
        key = self.key(endpoint, day, name)
        if COMPACTED in name and key not in self._replaced:
            try:
                with open_segment(self.store, key) as file:
                    self._replaced[key] = replaced_by(file)
            except Broken as error:
                raise Quarantined(self._quarantine(endpoint, day, name, error)) from None
        return self._replaced.get(key, ())

    def leftovers(self, endpoint: EndpointName, day: date) -> list[str]:
        """Return the names of the day's segments that a compacted one replaces, and that are still there."""

        def names() -> list[str]:
            current = set(self._names(endpoint, day))
            listed = self.store.names(_folder(endpoint, day))
            return [name for name in listed if _is_segment(name) and name not in current]

        return self._again(names)

    def versions(self, endpoint: EndpointName, day: date) -> Mapping[str, object]:
        """Return a value per segment of the day that is another one once the segment is rewritten. Oldest first."""

        def versions() -> Mapping[str, object]:
            names, found = self._names(endpoint, day), self.store.versions(_folder(endpoint, day))
            if gone := [name for name in names if name not in found]:
                raise Quarantined(f"{self.folder(endpoint, day) / gone[0]} was removed meanwhile; reading again")
            return {name: found[name] for name in names}

        return self._again(versions)

    def index(self, endpoint: EndpointName, day: date) -> pa.Table:
        """Return all requests of the day and their outcomes, without bodies, in the order of landing.

        Columns are `INDEX_COLUMNS` and the place of the body: `segment`, `row_group`, `row`. Quarantines broken
        segments. Raises `FixStorage` if a later version wrote a segment, or if the disk fails.
        """
        tables = self._again(lambda: self._segment_indexes(endpoint, day))
        if not tables:
            fields = [RAW_SCHEMA.field(name) for name in INDEX_COLUMNS]
            places = [("segment", pa.string()), ("row_group", pa.int32()), ("row", pa.int32())]
            return pa.schema([*fields, *places]).empty_table()
        return pa.concat_tables(tables)

    def newest(self, endpoint: EndpointName, day: date) -> dict[str, Any] | None:
        """Return the last request of the day, without its body; None if there is none. Reads a small part of one file.

        Raises `FixStorage`, and `Quarantined` for a broken file.
        """
        names = self.names(endpoint, day)
        if not names:
            return None
        try:
            with self._open(endpoint, day, names[-1]) as file:
                rows = file.read_row_group(file.num_row_groups - 1, columns=INDEX_COLUMNS, use_threads=False)
        except Broken as error:
            raise Quarantined(self._quarantine(endpoint, day, names[-1], error)) from None
        last: dict[str, Any] = rows.slice(rows.num_rows - 1).to_pylist()[0]
        return last

    def bodies(self, endpoint: EndpointName, day: date, places: Sequence[Place]) -> list[str]:
        """Return the bodies at `places` (see `index`), in that order.

        Reads each row group once. Memory is one row group and the bodies themselves. Raises `Quarantined` if a segment
        turns out to be broken, or was removed: then read the index again.
        """
        wanted: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for position, (segment, group, row) in enumerate(places):
            wanted.setdefault(segment, {}).setdefault(group, []).append((row, position))
        found: list[str] = [""] * len(places)

        def read(segment: str) -> None:
            try:
                with self._open(endpoint, day, segment) as file:
                    for group, rows in wanted[segment].items():
                        column = file.read_row_group(group, columns=["body"], use_threads=False).column("body")
                        for row, position in rows:
                            found[position] = column[row].as_py()
            except Broken as error:
                raise Quarantined(self._quarantine(endpoint, day, segment, error)) from None

        self._each(read, wanted)
        return found

    def rewrite(self, endpoint: EndpointName, day: date, keep: Callable[[pa.Table], pa.Table]) -> int:
        """Replace each segment by what `keep` returns for its rows (columns of `RAW_SCHEMA`).

        Segments that a compacted one replaces, and temporary files of a killed process, are deleted first. Returns how
        many segments changed. Each one is replaced as a whole. Raises `Quarantined` and `FixStorage`.
        """
        self._tidy(_folder(endpoint, day))
        self.delete(endpoint, day, self.leftovers(endpoint, day))
        changed = 0
        for name in self.names(endpoint, day):
            key = self.key(endpoint, day, name)
            try:
                with open_segment(self.store, key) as file:
                    rows, replaces = file.read(), replaced_by(file)
            except Broken as error:
                raise Quarantined(self._quarantine(endpoint, day, name, error)) from None
            kept = keep(rows)
            if kept.equals(rows):
                continue
            changed += 1
            groups = [kept.slice(start, ROW_GROUP_ROWS) for start in range(0, kept.num_rows, ROW_GROUP_ROWS)]
            if not groups:
                self.delete(endpoint, day, [name])
                continue
            try:
                with self.store.replacing(key) as path:
                    write_segment(path, groups, replaces=replaces)
            except OSError as error:
                raise unwritable(self.store.path(key), error) from None
        return changed

    def delete(self, endpoint: EndpointName, day: date, names: Sequence[str]) -> None:
        """Delete segments. Raises `FixStorage`."""
        try:
            self.store.delete(*(self.key(endpoint, day, name) for name in names))
        except OSError as error:
            raise unwritable(self.folder(endpoint, day), error) from None

    def delete_day(self, day: date) -> None:
        """Delete all raw responses of a day, of every endpoint. Quarantined files stay. Raises `FixStorage`."""
        for endpoint in ENDPOINT_NAMES:
            folder = _folder(endpoint, day)
            self.delete(endpoint, day, [name for name in self.store.names(folder) if _is_segment(name)])
            self._tidy(folder)

    def _tidy(self, folder: str) -> None:
        try:
            self.store.tidy(folder)
        except OSError as error:
            raise unwritable(self.store.path(folder), error) from None

    @asynccontextmanager
    async def writer(self, endpoint: EndpointName, day: date) -> AsyncIterator[LandingWriter]:
        """Append responses to the day. However the block ends, everything appended is then on disk."""
        folder = _folder(endpoint, day)
        try:
            self.store.prepare(folder)
        except OSError as error:
            raise unwritable(self.store.path(folder), error) from None
        writer = LandingWriter(self.store, folder, self._redactor())
        ticking = asyncio.create_task(writer.tick())
        try:
            yield writer
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError, FixStorage):
                await ticking
            await asyncio.shield(writer.flush())

    def _names(self, endpoint: EndpointName, day: date) -> list[str]:
        names = [name for name in self.store.names(_folder(endpoint, day)) if _is_segment(name)]
        compacted = [name for name in names if COMPACTED in name] if len(names) > 1 else []
        replaced = {other for name in compacted for other in self.replaces(endpoint, day, name)}
        return [name for name in names if name not in replaced]

    def _segment_indexes(self, endpoint: EndpointName, day: date) -> list[pa.Table]:
        """Return the index of each segment. Those of the latest day are kept, if reading them costs requests."""
        names = self._names(endpoint, day)
        if not self.store.is_remote:
            return [rows for name in names if (rows := self._segment_index(endpoint, day, name)) is not None]
        if self._indexed_day != day:
            self._indexes, self._indexed_day = {}, day
        versions = self.store.versions(_folder(endpoint, day))
        keys = {name: (self.key(endpoint, day, name), versions.get(name)) for name in names}

        def index(name: str) -> None:
            if keys[name] not in self._indexes:
                self._indexes[keys[name]] = self._segment_index(endpoint, day, name)

        self._each(index, names)
        return [rows for name in names if (rows := self._indexes[keys[name]]) is not None]

    def _segment_index(self, endpoint: EndpointName, day: date, name: str) -> pa.Table | None:
        """Return the index of a segment; None if it was broken and is quarantined now."""
        try:
            with self._open(endpoint, day, name) as file:
                rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        except Broken as error:
            self._quarantine(endpoint, day, name, error)
            return None
        columns = {
            "segment": pa.repeat(pa.scalar(name, pa.string()), rows.num_rows),
            "row_group": pa.array([group for group, size in enumerate(sizes) for _ in range(size)], pa.int32()),
            "row": pa.array([row for size in sizes for row in range(size)], pa.int32()),
        }
        for column, values in columns.items():
            rows = rows.append_column(column, values)
        return rows

    def _open(self, endpoint: EndpointName, day: date, name: str) -> AbstractContextManager[Any]:
        return open_segment(self.store, self.key(endpoint, day, name))

    def _quarantine(self, endpoint: EndpointName, day: date, name: str, error: Broken) -> str:
        return quarantine_segment(self.store, self.key(endpoint, day, name), error)

    def _each(self, do: Callable[[str], None], names: Sequence[str] | Mapping[str, object]) -> None:
        """Do something for each name, several at the same time if that means requests."""
        if self.store.is_remote and len(names) > 1:
            with ThreadPoolExecutor(READERS) as pool:
                for _ in pool.map(do, names):
                    pass
        else:
            for name in names:
                do(name)

    def _again(self, read: Callable[[], T]) -> T:
        """Read, and read again if segments were removed meanwhile: compacted, or erased.

        Raises `FixStorage` if the folder still lists them after some seconds.
        """
        for seconds in LISTING_PAUSES:
            try:
                with self.listing_once():
                    return read()
            except Quarantined:
                time.sleep(seconds)
        try:
            with self.listing_once():
                return read()
        except Quarantined as error:
            raise FixStorage(
                f"{self.store.url} still lists files that it no longer has; run again in a minute ({error})"
            ) from None


def _folder(endpoint: EndpointName, day: date) -> str:
    return f"{endpoint}/{folder_name(day)}"


def _is_segment(name: str) -> bool:
    return name.endswith(".parquet")


def _unchanged(_endpoint: EndpointName, body: str) -> str:
    return body
