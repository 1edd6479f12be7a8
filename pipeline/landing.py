"""Raw answers on disk: appended as they came, never changed, and what has landed so far.

    raw/<endpoint>/session_date=2026-11-01/20261102T021500.123456Z-1f3a9c04.parquet

A segment holds the requests of a few seconds beside their answers, in Parquet, so that the request columns can be read
without the bodies. Segments appear whole or not at all. What the answers mean is `flatten.py`'s business; which
requests to make from what is here, `flow.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import FixStorage
from pipeline.exchange import ENDPOINTS, Answer, Endpoint

__all__ = ["INDEX_COLUMNS", "RAW_SCHEMA", "Landing", "LandingWriter"]

INSTANT = pa.timestamp("us", tz="UTC")
VERSION = b"1"
"""Version of the segments' columns, in each file's metadata."""

SEGMENT_BYTES = 8 << 20
"""Bytes of bodies after which a segment is written."""

SEGMENT_SECONDS = 2.0
"""Seconds after which a segment is written however small: what a killed run loses at most."""

ROW_GROUP_BYTES = 1 << 20
"""Bodies are read by row group: small ones, so that reading one call does not read the whole day."""

RAW_SCHEMA = pa.schema(
    [
        pa.field("endpoint", pa.string()),
        pa.field("session_date", pa.date32()),
        pa.field("call_type", pa.string()),
        pa.field("call_id", pa.string()),
        pa.field("call_session_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("user_session_id", pa.string()),
        pa.field("since", INSTANT),
        pa.field("until", INSTANT),
        pa.field("listing", pa.string(), metadata={"comment": "id that the pages of one listing share"}),
        pa.field("page", pa.int32()),
        pa.field("cursor", pa.string(), metadata={"comment": "where the source said that the page starts"}),
        pa.field("next_cursor", pa.string(), metadata={"comment": "where it said that the next one does"}),
        pa.field("publishes", pa.bool_(), metadata={"comment": "of metrics: whether the user published anything"}),
        pa.field("status", pa.int32(), metadata={"comment": "HTTP status; NULL where no answer came"}),
        pa.field("attempts", pa.int32()),
        pa.field("fetched_at", INSTANT, metadata={"comment": "by the source's clock"}),
        pa.field("error", pa.string(), metadata={"comment": "NULL for a usable answer"}),
        pa.field("body_bytes", pa.int64()),
        pa.field("body", pa.string(), metadata={"comment": "as received, decompressed"}),
    ],
    metadata={"call_metrics.raw_version": VERSION},
)
INDEX_COLUMNS = [name for name in RAW_SCHEMA.names if name != "body"]
_DICTIONARIES = ["endpoint", "call_type", "call_id", "call_session_id", "user_id", "user_session_id", "error"]


@dataclass(frozen=True)
class Segment:
    """One file of answers."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name


class Landing:
    """All raw answers under one folder. `redact` is applied to every body before it lands."""

    def __init__(self, root: Path, *, redact: Callable[[str], str] = lambda body: body) -> None:
        self.root = root
        self._redact = redact

    def folder(self, endpoint: Endpoint, day: date) -> Path:
        return self.root / endpoint / f"session_date={day.isoformat()}"

    def days(self) -> list[date]:
        """The days of which anything has landed, oldest first."""
        names = {path.name for endpoint in ENDPOINTS for path in (self.root / endpoint).glob("session_date=*")}
        days = []
        for name in names:
            with contextlib.suppress(ValueError):
                days.append(date.fromisoformat(name.removeprefix("session_date=")))
        return sorted(days)

    def segments(self, endpoint: Endpoint, day: date) -> list[Segment]:
        """The day's segments, oldest first."""
        return [Segment(path) for path in sorted(self.folder(endpoint, day).glob("*.parquet"))]

    def index(self, endpoint: Endpoint, day: date) -> pa.Table:
        """Every request of the day and how it went, without bodies, in the order of landing.

        `INDEX_COLUMNS` and where the body lies: `segment` (its place in `segments()`), `row_group` and `row` (in it).
        """
        tables = []
        for number, segment in enumerate(self.segments(endpoint, day)):
            with _reading(segment) as file:
                rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            columns = {
                "segment": pa.repeat(pa.scalar(number, pa.int32()), rows.num_rows),
                "row_group": pa.array([group for group, size in enumerate(sizes) for _ in range(size)], pa.int32()),
                "row": pa.array([row for size in sizes for row in range(size)], pa.int32()),
            }
            for name, column in columns.items():
                rows = rows.append_column(name, column)
            tables.append(rows)
        if not tables:
            places = [pa.field(name, pa.int32()) for name in ("segment", "row_group", "row")]
            return pa.schema([*(RAW_SCHEMA.field(name) for name in INDEX_COLUMNS), *places]).empty_table()
        return pa.concat_tables(tables)

    def bodies(self, endpoint: Endpoint, day: date, places: Sequence[tuple[int, int, int]]) -> list[str]:
        """The bodies at `places`, (segment, row group, row) as `index` gives them, in that order.

        Reads each row group once; memory is that of one row group and of the bodies asked for.
        """
        wanted: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for position, (number, group, row) in enumerate(places):
            wanted.setdefault(number, {}).setdefault(group, []).append((row, position))
        found: list[str] = [""] * len(places)
        segments = self.segments(endpoint, day)
        for number, groups in wanted.items():
            with _reading(segments[number]) as file:
                for group, rows in groups.items():
                    column = file.read_row_group(group, columns=["body"], use_threads=False).column("body")
                    for row, position in rows:
                        found[position] = column[row].as_py()
        return found

    @asynccontextmanager
    async def writer(self, endpoint: Endpoint, day: date) -> AsyncIterator[LandingWriter]:
        """Append answers to the day. Whatever ends the block, what was appended is on disk after it."""
        folder = self.folder(endpoint, day)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob("*.tmp"):  # of a killed run: the day is ours alone
                leftover.unlink()
        except OSError as error:
            raise _unwritable(folder, error) from None
        writer = LandingWriter(folder, self._redact)
        ticking = asyncio.create_task(writer.tick())
        try:
            yield writer
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError, FixStorage):
                await ticking
            await asyncio.shield(writer.flush())


class LandingWriter:
    """Collects answers and writes them as segments, by size and by age."""

    def __init__(self, folder: Path, redact: Callable[[str], str]) -> None:
        self._folder = folder
        self._redact = redact
        self._answers: list[Answer] = []
        self._bytes = 0
        self._writing = asyncio.Lock()
        self.landed = 0
        """Answers appended so far."""

    async def append(self, answer: Answer) -> None:
        """Take an answer; it is on disk `SEGMENT_SECONDS` later at the latest. Raises `FixStorage`."""
        self._answers.append(answer)
        self._bytes += len(answer.body)
        self.landed += 1
        if self._bytes >= SEGMENT_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected. Raises `FixStorage`, with nothing forgotten."""
        async with self._writing:
            answers, self._answers, self._bytes = self._answers, [], 0
            if not answers:
                return
            try:
                await asyncio.to_thread(_write, self._folder, answers, self._redact)
            except OSError as error:
                self._answers[:0] = answers
                raise _unwritable(self._folder, error) from None

    async def tick(self) -> None:
        """Write every `SEGMENT_SECONDS`, until cancelled."""
        while True:
            await asyncio.sleep(SEGMENT_SECONDS)
            await asyncio.shield(self.flush())


def _write(folder: Path, answers: list[Answer], redact: Callable[[str], str]) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = folder / f"{stamp}-{secrets.token_hex(4)}.parquet"
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as sink:
        with pq.ParquetWriter(
            sink,
            RAW_SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=_DICTIONARIES,
            write_page_checksum=True,
        ) as writer:
            for group in _groups(answers):
                writer.write_table(pa.Table.from_pylist([_row(answer, redact) for answer in group], RAW_SCHEMA))
        sink.flush()
        os.fsync(sink.fileno())
    temporary.replace(path)
    _sync_folder(folder)


def _groups(answers: list[Answer]) -> Iterator[list[Answer]]:
    group: list[Answer] = []
    size = 0
    for answer in answers:
        group.append(answer)
        size += len(answer.body)
        if size >= ROW_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _row(answer: Answer, redact: Callable[[str], str]) -> dict[str, Any]:
    request = answer.request
    stay = request.stay
    call = stay.call if stay is not None else request.call
    body = redact(answer.body)
    return {
        "endpoint": request.endpoint,
        "session_date": request.session_date,
        "call_type": call.call_type if call else None,
        "call_id": call.call_id if call else None,
        "call_session_id": call.call_session_id if call else None,
        "user_id": stay.user_id if stay else None,
        "user_session_id": stay.user_session_id if stay else None,
        "since": request.window.since if request.window else None,
        "until": request.window.until if request.window else None,
        "listing": request.listing,
        "page": request.page,
        "cursor": request.cursor,
        "next_cursor": answer.next_cursor,
        "publishes": answer.publishes,
        "status": answer.status,
        "attempts": answer.attempts,
        "fetched_at": answer.fetched_at,
        "error": answer.error,
        "body_bytes": len(body),
        "body": body,
    }


@contextlib.contextmanager
def _reading(segment: Segment) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(segment.path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise FixStorage(f"{segment.path} cannot be read: {str(error).splitlines()[0]}") from None


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> FixStorage:
    return FixStorage(f"{path} cannot be written ({error.strerror or error}); free or mend it and run again")
