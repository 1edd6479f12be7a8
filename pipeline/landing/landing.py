"""The folder of raw responses: append to a day, list what has landed, read bodies.

    raw/<endpoint>/session_date=2026-11-01/20261102T021500.123456Z-1f3a9c04.parquet

Segments appear whole or not at all and are never changed; `rewrite`, for erased people, is the one exception. A segment
that cannot be read is quarantined, never deleted, and its content counts as not landed. What a response means is in
`planning` and `tables`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.endpoints import ENDPOINT_NAMES, EndpointName
from pipeline.errors import Broken, FixStorage, Quarantined
from pipeline.files import day_folder, day_of, names_in, remove_leftovers, replacing
from pipeline.landing.segment import (
    INDEX_COLUMNS,
    RAW_SCHEMA,
    ROW_GROUP_ROWS,
    open_segment,
    quarantine_segment,
    unwritable,
    write_segment,
)
from pipeline.landing.writer import LandingWriter, Redact

__all__ = ["Landing", "Place"]

Place = tuple[str, int, int]
"""Where a body is: name of the segment, row group, row in the row group."""


class Landing:
    """All raw responses under one folder.

    `redactor` is called when a day is opened for appending. The function that it returns is applied to every body
    before it lands.
    """

    def __init__(self, root: Path, *, redactor: Callable[[], Redact] = lambda: _unchanged) -> None:
        self.root = root
        self._redactor = redactor

    def id(self) -> str:
        """Return the id of this data folder, which is created with the first call. Raises `FixStorage`.

        It is stored with the raw responses, since everything else can be made from these.
        """
        path = self.root / "folder-id"
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FixStorage(f"{path} cannot be used ({error}); fix it and run again") from None

    def folder(self, endpoint: EndpointName, day: date) -> Path:
        """Return the folder of an endpoint's day."""
        return day_folder(self.root / endpoint, day)

    def days(self) -> list[date]:
        """Return the days with at least one raw response, oldest first. Raises `FixStorage`."""
        names = {name for endpoint in ENDPOINT_NAMES for name in names_in(self.root / endpoint)}
        return sorted(day for name in names if (day := day_of(name)) is not None)

    def segments(self, endpoint: EndpointName, day: date) -> list[Path]:
        """Return the day's segments, oldest first. Raises `FixStorage` if they cannot be listed."""
        folder = self.folder(endpoint, day)
        return [folder / name for name in names_in(folder) if name.endswith(".parquet")]

    def index(self, endpoint: EndpointName, day: date) -> pa.Table:
        """Return all requests of the day and their outcomes, without bodies, in the order of landing.

        Columns are `INDEX_COLUMNS` and the place of the body: `segment`, `row_group`, `row`. Quarantines broken
        segments. Raises `FixStorage` if a later version wrote a segment, or if the disk fails.
        """
        tables = []
        for path in self.segments(endpoint, day):
            try:
                with open_segment(path) as file:
                    rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
                    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            except Broken as error:
                quarantine_segment(path, error)
                continue
            columns = {
                "segment": pa.repeat(pa.scalar(path.name, pa.string()), rows.num_rows),
                "row_group": pa.array([group for group, size in enumerate(sizes) for _ in range(size)], pa.int32()),
                "row": pa.array([row for size in sizes for row in range(size)], pa.int32()),
            }
            for name, column in columns.items():
                rows = rows.append_column(name, column)
            tables.append(rows)
        if not tables:
            fields = [RAW_SCHEMA.field(name) for name in INDEX_COLUMNS]
            places = [("segment", pa.string()), ("row_group", pa.int32()), ("row", pa.int32())]
            return pa.schema([*fields, *places]).empty_table()
        return pa.concat_tables(tables)

    def newest(self, endpoint: EndpointName, day: date) -> dict[str, Any] | None:
        """Return the last request of the day, without its body; None if there is none. Reads one small file.

        Raises `FixStorage`, and `Quarantined` for a broken file.
        """
        segments = self.segments(endpoint, day)
        if not segments:
            return None
        try:
            with open_segment(segments[-1]) as file:
                rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
        except Broken as error:
            raise Quarantined(quarantine_segment(segments[-1], error)) from None
        last: dict[str, Any] = rows.slice(rows.num_rows - 1).to_pylist()[0]
        return last

    def bodies(self, endpoint: EndpointName, day: date, places: Sequence[Place]) -> list[str]:
        """Return the bodies at `places` (see `index`), in that order.

        Reads each row group once. Memory is one row group and the bodies themselves. Raises `Quarantined` if a segment
        turns out to be broken: then read the index again.
        """
        wanted: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for position, (segment, group, row) in enumerate(places):
            wanted.setdefault(segment, {}).setdefault(group, []).append((row, position))
        found: list[str] = [""] * len(places)
        for segment, groups in wanted.items():
            path = self.folder(endpoint, day) / segment
            try:
                with open_segment(path) as file:
                    for group, rows in groups.items():
                        column = file.read_row_group(group, columns=["body"], use_threads=False).column("body")
                        for row, position in rows:
                            found[position] = column[row].as_py()
            except Broken as error:
                raise Quarantined(quarantine_segment(path, error)) from None
        return found

    def rewrite(self, endpoint: EndpointName, day: date, keep: Callable[[pa.Table], pa.Table]) -> int:
        """Replace each segment by what `keep` returns for its rows (columns of `RAW_SCHEMA`).

        Returns how many segments changed. Each one is replaced as a whole. Raises `Quarantined` and `FixStorage`.
        """
        changed = 0
        for path in self.segments(endpoint, day):
            try:
                with open_segment(path) as file:
                    rows = file.read()
            except Broken as error:
                raise Quarantined(quarantine_segment(path, error)) from None
            kept = keep(rows)
            if kept.equals(rows):
                continue
            changed += 1
            groups = [kept.slice(start, ROW_GROUP_ROWS) for start in range(0, kept.num_rows, ROW_GROUP_ROWS)]
            try:
                if groups:
                    write_segment(path, groups)
                else:
                    path.unlink()
            except OSError as error:
                raise unwritable(path, error) from None
        return changed

    @asynccontextmanager
    async def writer(self, endpoint: EndpointName, day: date) -> AsyncIterator[LandingWriter]:
        """Append responses to the day. However the block ends, everything appended is then on disk."""
        folder = self.folder(endpoint, day)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
        except OSError as error:
            raise unwritable(folder, error) from None
        writer = LandingWriter(folder, self._redactor())
        ticking = asyncio.create_task(writer.tick())
        try:
            yield writer
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError, FixStorage):
                await ticking
            await asyncio.shield(writer.flush())


def _unchanged(_endpoint: EndpointName, body: str) -> str:
    return body
