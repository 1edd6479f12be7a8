"""Raw answers on disk: appended as they came, never changed, and what has landed so far.

    raw/<endpoint>/session_date=2026-11-01/20261102T021500.123456Z-1f3a9c04.parquet

A segment holds the requests of a few seconds beside their answers, in Parquet, so that the request columns can be read
without the bodies. Segments appear whole or not at all. What the answers mean is `flatten.py`'s business; which
requests to make from what is here, `plan.py`'s. A segment that cannot be read is set aside under another name, never
deleted, and what it held counts as not landed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.asides import reading, set_aside
from pipeline.errors import Broken, FixStorage, SetAside
from pipeline.exchange import ENDPOINTS, Answer, Endpoint

__all__ = ["INDEX_COLUMNS", "RAW_SCHEMA", "Landing", "LandingWriter", "Place", "Redact"]

INSTANT = pa.timestamp("us", tz="UTC")
VERSION = 1
"""Version of the segments' columns, in each file's metadata as `call_metrics.raw_version`."""

Redact = Callable[[Endpoint, str], str]
"""Takes out of a body what is not to land."""

Place = tuple[str, int, int]
"""Where a body lies: name of the segment, row group, row in it."""

SEGMENT_BYTES = 8 << 20
"""Bytes of bodies after which a segment is written."""

SEGMENT_SECONDS = 2.0
"""Seconds after which a segment is written however small: what a killed run loses at most."""

AGAIN = "what it held is asked for again"

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
    metadata={"call_metrics.raw_version": str(VERSION)},
)
INDEX_COLUMNS = [name for name in RAW_SCHEMA.names if name != "body"]
_DICTIONARIES = ["endpoint", "call_type", "call_id", "call_session_id", "user_id", "user_session_id", "error"]


class Landing:
    """All raw answers under one folder.

    `redactor` is called when an endpoint's day is opened for appending; what it returns is applied to every body before
    it lands.
    """

    def __init__(self, root: Path, *, redactor: Callable[[], Redact] = lambda: _as_it_came) -> None:
        self.root = root
        self._redactor = redactor

    def folder(self, endpoint: Endpoint, day: date) -> Path:
        return self.root / endpoint / f"session_date={day.isoformat()}"

    def days(self) -> list[date]:
        """The days of which anything has landed, oldest first."""
        days = set()
        for endpoint in ENDPOINTS:
            for name in _names(self.root / endpoint):
                with contextlib.suppress(ValueError):
                    days.add(date.fromisoformat(name.removeprefix("session_date=")))
        return sorted(days)

    def segments(self, endpoint: Endpoint, day: date) -> list[Path]:
        """The day's segments, oldest first. Raises `FixStorage` where they cannot be listed."""
        folder = self.folder(endpoint, day)
        return sorted(folder / name for name in _names(folder) if name.endswith(".parquet"))

    def index(self, endpoint: Endpoint, day: date) -> pa.Table:
        """Every request of the day and how it went, without bodies, in the order of landing.

        `INDEX_COLUMNS`, and where the body lies: `segment`, `row_group` and `row`. A segment that cannot be read is set
        aside. Raises `FixStorage` for one of a later version, and where the disk fails.
        """
        tables = []
        for path in self.segments(endpoint, day):
            try:
                with _reading(path) as file:
                    rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
                    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            except Broken as error:
                _set_aside(path, error)
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

    def newest(self, endpoint: Endpoint, day: date) -> dict[str, Any] | None:
        """The request that landed last, without its body; None where none is. One small file is read, not the day.

        Raises `FixStorage`, and `SetAside` for a broken file.
        """
        segments = self.segments(endpoint, day)
        if not segments:
            return None
        try:
            with _reading(segments[-1]) as file:
                rows = file.read(columns=INDEX_COLUMNS, use_threads=False)
        except Broken as error:
            raise SetAside(_set_aside(segments[-1], error)) from None
        last: dict[str, Any] = rows.slice(rows.num_rows - 1).to_pylist()[0]
        return last

    def bodies(self, endpoint: Endpoint, day: date, places: Sequence[Place]) -> list[str]:
        """The bodies at `places`, as `index` gives them, in that order.

        Reads each row group once; memory is that of one row group and of the bodies asked for. Raises `SetAside` where
        a segment turns out to be broken: the index has to be read again.
        """
        wanted: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for position, (segment, group, row) in enumerate(places):
            wanted.setdefault(segment, {}).setdefault(group, []).append((row, position))
        found: list[str] = [""] * len(places)
        for segment, groups in wanted.items():
            path = self.folder(endpoint, day) / segment
            try:
                with _reading(path) as file:
                    for group, rows in groups.items():
                        column = file.read_row_group(group, columns=["body"], use_threads=False).column("body")
                        for row, position in rows:
                            found[position] = column[row].as_py()
            except Broken as error:
                raise SetAside(_set_aside(path, error)) from None
        return found

    def read(self, endpoint: Endpoint, day: date) -> tuple[pa.Table, Callable[[Sequence[Place]], list[str]]]:
        """The `index` of a day, and what gives the `bodies` at its places."""
        return self.index(endpoint, day), lambda places: self.bodies(endpoint, day, places)

    def rewrite(self, endpoint: Endpoint, day: date, keep: Callable[[pa.Table], pa.Table]) -> int:
        """Replace each segment by what `keep` leaves of it (columns of `RAW_SCHEMA`); returns how many changed.

        The one exception to append-only, for answers that may not be kept. Each segment is replaced as a whole.
        """
        changed = 0
        for path in self.segments(endpoint, day):
            try:
                with _reading(path) as file:
                    rows = file.read()
            except Broken as error:
                raise SetAside(_set_aside(path, error)) from None
            kept = keep(rows)
            if kept.equals(rows):
                continue
            changed += 1
            if kept.num_rows:
                groups = [kept.slice(start, 64) for start in range(0, kept.num_rows, 64)]
                _write_segment(path, groups)
            else:
                path.unlink()
        return changed

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
        writer = LandingWriter(folder, self._redactor())
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

    def __init__(self, folder: Path, redact: Redact) -> None:
        self._folder = folder
        self._redact = redact
        self._answers: list[Answer] = []
        self._bytes = 0
        self._writing = asyncio.Lock()
        self._failure: FixStorage | None = None

    async def append(self, answer: Answer) -> None:
        """Take an answer; it is on disk `SEGMENT_SECONDS` later at the latest. Raises `FixStorage`."""
        if self._failure is not None:
            raise self._failure
        self._answers.append(answer)
        self._bytes += len(answer.body)
        if self._bytes >= SEGMENT_BYTES:
            await asyncio.shield(self.flush())  # whoever stops waiting: the day is not closed before it is on disk

    async def flush(self) -> None:
        """Write what was collected. Raises `FixStorage`, with nothing forgotten."""
        async with self._writing:
            answers, self._answers, self._bytes = self._answers, [], 0
            if not answers:
                return
            try:
                await asyncio.to_thread(_write, self._folder, answers, self._redact)
            except Exception as error:
                self._answers[:0] = answers
                if isinstance(error, OSError):
                    self._failure = _unwritable(self._folder, error)
                    raise self._failure from None
                raise

    async def tick(self) -> None:
        """Write every `SEGMENT_SECONDS`, until cancelled."""
        while True:
            await asyncio.sleep(SEGMENT_SECONDS)
            await asyncio.shield(self.flush())


def _write(folder: Path, answers: list[Answer], redact: Redact) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    rows = ([_row(answer, redact) for answer in group] for group in _groups(answers))
    groups = (pa.Table.from_pylist(group, RAW_SCHEMA) for group in rows)
    _write_segment(folder / f"{stamp}-{secrets.token_hex(4)}.parquet", groups)


def _write_segment(path: Path, groups: Iterable[pa.Table]) -> None:
    """Write a segment that appears whole or not at all, and lasts through a power cut."""
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
            for group in groups:
                writer.write_table(group)
        sink.flush()
        os.fsync(sink.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


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


def _row(answer: Answer, redact: Redact) -> dict[str, Any]:
    request = answer.request
    stay = request.stay
    call = stay.call if stay is not None else request.call
    body = redact(request.endpoint, answer.body)
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


def _names(folder: Path) -> list[str]:
    """What lies in a folder; nothing where there is none. One that cannot be looked into is not an empty one."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FixStorage(f"{folder} cannot be read ({error.strerror}); mend it and run again") from None


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[pq.ParquetFile]:
    with reading(path, AGAIN), pq.ParquetFile(path, page_checksum_verification=True) as file:
        version = int((file.metadata.metadata or {}).get(b"call_metrics.raw_version", b"0"))
        if version > VERSION:
            raise FixStorage(f"{path} was written by a later version of Call Metrics; upgrade this one")
        yield file


def _set_aside(path: Path, error: Broken) -> str:
    try:
        return set_aside(path, f"is broken ({error.reason})", AGAIN)
    except OSError as refusal:
        raise _unwritable(path.parent, refusal) from None


def _as_it_came(_endpoint: Endpoint, body: str) -> str:
    return body


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> FixStorage:
    return FixStorage(f"{path} cannot be written ({error.strerror or error}); free or mend it and run again")
