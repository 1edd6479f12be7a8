"""Raw answers of one day made into the rows of the tables.

The JSON is read and joined by DuckDB (`sql/flatten/`), the points are sorted by `series.py`; a day is worked through in
chunks of whole stays, so that memory does not grow with it. Rows are a pure function of the raw answers. Where answers
lie is `landing.py`'s business, where rows go `lake.py`'s.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.exchange import Endpoint
from pipeline.series import UNITS, Answers, explode
from pipeline.specification import unknown_fields
from pipeline.sql import names, statement
from pipeline.tables import METRICS, TABLES

__all__ = [
    "VERSION",
    "DayOfMetrics",
    "Flattener",
    "MetricChunk",
    "digest",
    "fingerprint",
    "is_outdated",
    "pages",
    "rules",
]

VERSION = "1"
"""Of the rules in this module and in `series.py`, to be counted up when they change what comes out of them."""

CHUNK_BYTES = 4 << 20
"""Bytes of bodies that are worked on at a time: few enough that memory is used again rather than asked for anew."""

MEMORY = "256MB"
CALL = ["call_type", "call_id", "call_session_id"]
STAY = [*CALL, "user_id", "user_session_id"]

Bodies = Callable[[Sequence[tuple[str, int, int]]], list[str]]
"""Reads the bodies at some places (segment, row group, row)."""


class _Series(msgspec.Struct):
    data_points: list[tuple[float | None, float | None] | None] | None = None


class _Resolution(msgspec.Struct):
    width: _Series | None = None
    height: _Series | None = None


class _ShapeOfTrack(msgspec.Struct):
    bitrate: _Series | None = None
    framerate: _Series | None = None
    resolution: _Resolution | None = None


class _Shape(msgspec.Struct):
    """The documented shape of what points are read from, to the letter."""

    published_tracks: list[_ShapeOfTrack | None] | None = None


_SHAPE = msgspec.json.Decoder(_Shape)


@dataclass(frozen=True)
class MetricChunk:
    """The rows that the answers of some whole stays give, in the order of the tables."""

    tracks: pa.Table
    metric_points: pa.Table
    track_warnings: pa.Table


@dataclass
class DayOfMetrics:
    """What is found while the chunks of a day go by, complete after the last one.

    `clients` has a row per stay, `held` one per window with its distinct points; `suspect` and `unit` are by place in
    the index; `unknown` counts fields that the specification does not have; `digests` has a running SHA-256 per call.
    """

    clients: list[pa.Table] = field(default_factory=list)
    held: list[pa.Table] = field(default_factory=list)
    suspect: dict[int, bool] = field(default_factory=dict)
    unit: dict[int, str] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    digests: dict[tuple[str, ...], Any] = field(default_factory=dict)


class Flattener:
    """Turns indexes and bodies (`landing.py`) into Arrow tables. A context manager; not for use by several threads."""

    def __init__(self, temporary: Path | None = None) -> None:
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        # One thread: chunks are small, and two spend more time on each other than they save.
        self._duckdb.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 1")
        if temporary is not None:
            self._duckdb.execute("SET temp_directory = $folder", {"folder": str(temporary)})
        self._duckdb.execute(statement("flatten/epoch_instant"))
        self._duckdb.execute(statement("flatten/any_instant"))
        self._duckdb.execute(statement("flatten/instant"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._duckdb.close()

    def call_sessions(self, day: date, index: pa.Table, bodies: Bodies) -> tuple[pa.Table, int]:
        """The rows of `call_sessions`, from the pages of call_stats, and how many sessions of other days they list.

        These are left to the day on which they say that they started. Beside the table's columns, the rows have
        `most_publishers`, the greatest count of publishers that any page gave.
        """
        listed = self._query("call_sessions", {"day": day}, answers=pages(index, bodies))
        rows = listed.filter(listed.column("belongs"))
        sessions = _as_table("call_sessions", rows).append_column("most_publishers", rows.column("most_publishers"))
        return sessions, listed.num_rows - rows.num_rows

    def attendance(self, index: pa.Table, bodies: Bodies) -> tuple[pa.Table, pa.Table]:
        """Two tables from the pages of Call Attendance.

        One row per stay: ids, `joined_at`, `left_at`, `duration_seconds`, `publisher_type`, `roles`. One row per call
        session: ids, `promised`, the user sessions that the source speaks of in all, and `forgotten`, those left out.
        """
        answers = pages(index, bodies)
        return self._query("attendance", answers=answers), self._query("attendance_totals", answers=answers)

    def participant_stats(self, index: pa.Table, bodies: Bodies) -> pa.Table:
        """One row per stay that pages of participant statistics name: ids, `listed_at`, and columns of
        `participant_sessions`.
        """
        return self._query("participant_stats", answers=pages(index, bodies))

    def news(self, bodies: list[str]) -> pa.Table:
        """One row per call session that pages of call_stats tell of: `session_date`, `version`, `generated_at`."""
        answers = pa.table({"n": pa.array(range(len(bodies)), pa.int64()), "body": pa.array(bodies, pa.string())})
        return self._query("news", answers=answers)

    def metrics(self, day: date, index: pa.Table, bodies: Bodies, found: DayOfMetrics) -> Iterator[MetricChunk]:
        """The rows of a day's tracks, points and warnings, chunk by chunk in the order of the tables.

        `found` gathers the rest. Raises what `bodies` does.
        """
        usable = _usable(index)
        usable = usable.sort_by([(name, "ascending") for name in [*STAY, "fetched_at", "n"]])
        stay = _runs(usable, STAY)
        for start, stop in _chunks(stay, usable.column("body_bytes")):
            rows = usable.slice(start, stop - start)
            yield self._chunk(day, rows, stay[start:stop] - stay[start], bodies, found)

    def completeness(
        self,
        day: date,
        sessions: pa.Table,
        promised: pa.Table,
        attended: pa.Table,
        windows: pa.Table,
        judged: pa.Table,
        found: DayOfMetrics,
    ) -> pa.Table:
        """The rows of `ingest_completeness_by_call`, from those of the other tables and from `survey.verdicts`."""
        hashes = [(*call, digest.hexdigest()) for call, digest in found.digests.items()]
        columns = zip(*hashes, strict=True) if hashes else ([] for _ in range(4))
        digests = pa.table([pa.array(column, pa.string()) for column in columns], [*CALL, "raw_sha256"])
        tables = {
            "sessions": sessions,
            "promised": promised,
            "attended": attended,
            "settled": windows,
            "judged": judged,
        }
        return _as_table(
            "ingest_completeness_by_call", self._query("completeness", {"day": day}, digests=digests, **tables)
        )

    def participant_sessions(
        self, day: date, attendance: pa.Table, statistics: pa.Table, found: DayOfMetrics
    ) -> pa.Table:
        """The rows of `participant_sessions`: who attended, and what metrics and statistics say of them."""
        clients = pa.concat_tables(found.clients) if found.clients else _no_clients()
        sources = {"attendance": attendance, "clients": clients, "statistics": statistics}
        rows = self._query("participant_sessions", {"day": day}, **sources)
        return _as_table("participant_sessions", rows)

    def windows(self, day: date, expected: pa.Table, index: pa.Table, found: DayOfMetrics) -> pa.Table:
        """The rows of `windows`: what should exist (ids, `since`, `until`), and what became of it."""
        numbers = range(index.num_rows)
        asked = (
            index.append_column("n", pa.array(_by_time(index)))
            .append_column("suspect", pa.array([found.suspect.get(n, False) for n in numbers], pa.bool_()))
            .append_column("unit", pa.array([found.unit.get(n) for n in numbers], pa.string()))
        )
        held = pa.concat_tables(found.held) if found.held else _none_held()
        return _as_table("windows", self._query("windows", {"day": day}, expected=expected, asked=asked, held=held))

    def _chunk(
        self, day: date, rows: pa.Table, stay: np.ndarray[Any, Any], bodies: Bodies, found: DayOfMetrics
    ) -> MetricChunk:
        texts = bodies(_places(rows))
        digest("participant_metrics", rows, texts, found)
        answers = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "body": pa.array(texts, pa.string())})
        parsed = self._query("metrics", answers=answers)
        tracks = _tracks(parsed, stay)
        warnings = self._query("track_warnings", tracks=tracks.drop_columns(METRICS))
        clients = self._query("clients", parsed=_without_tracks(parsed, stay))

        window = _runs_of_pairs(stay, rows.column("since"))
        points = explode(
            tracks,
            Answers(stay, window, _micros(rows.column("since")), _micros(rows.column("until"))),
            _garbled(parsed, tracks, texts),
        )
        number = np.asarray(rows.column("place"))
        found.suspect.update((int(n), True) for n in number[points.suspect])
        found.unit.update((int(n), UNITS[unit]) for n, unit in zip(number, points.unit, strict=True) if unit >= 0)
        ids = rows.take(pa.array(np.flatnonzero(np.diff(stay, prepend=-1)))).select(STAY)
        _, first = np.unique(window, return_index=True)
        found.held.append(
            rows.take(pa.array(first)).select([*STAY, "since"]).append_column("points", pa.array(points.per_window))
        )
        # A copy: what comes from DuckDB holds on to all the memory of its query.
        found.clients.append(_with_ids(clients, ids).take(pa.array(range(clients.num_rows))))

        timestamp = pa.array(points.timestamp).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
        held = _extent(points.series, points.of, points.timestamp)
        series = _with_ids(points.series, ids)
        of = pa.array(points.of)
        columns = {name: _spread(series.column(name), of) for name in series.column_names}
        columns |= {"timestamp": timestamp, "value": pa.array(points.value)}
        return MetricChunk(
            tracks=_dated(
                "tracks", day, _with_ids(self._query("tracks", tracks=tracks.drop_columns(METRICS), held=held), ids)
            ),
            metric_points=_dated("metric_points", day, pa.table(columns)),
            track_warnings=_dated("track_warnings", day, _with_ids(warnings, ids)),
        )

    def _query(self, name: str, parameters: dict[str, Any] | None = None, **tables: pa.Table) -> pa.Table:
        with _registered(self._duckdb, **tables):
            return self._duckdb.execute(statement(f"flatten/{name}"), parameters or {}).to_arrow_table()


def fingerprint(*parts: object) -> str:
    """A short hash of what a table is made from, behind one of the `rules`; Arrow tables count by their content."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pa.Table):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, part.schema) as stream:
                stream.write_table(part.combine_chunks())
            digest.update(sink.getvalue())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return f"{rules()}-{digest.hexdigest()[:32]}"


def is_outdated(mark: str | None) -> bool:
    """Whether a table with this fingerprint was made by other rules than ours."""
    return mark is None or mark.partition("-")[0] != rules()


@cache
def rules() -> str:
    """A short hash of what makes tables: `VERSION`, the SQL, the columns. Tables follow when it changes."""
    columns = (f"{table.name}: {table.schema.to_string(show_field_metadata=False)}" for table in TABLES.values())
    return hashlib.sha256("\0".join([VERSION, *map(statement, names("flatten")), *columns]).encode()).hexdigest()[:8]


def digest(endpoint: Endpoint, rows: pa.Table, bodies: list[str], found: DayOfMetrics) -> None:
    """Add bodies to the digests of their calls, in the order given, and count fields that are new to us.

    `rows` has the ids of each.
    """
    calls = zip(*(rows.column(name).to_pylist() for name in CALL), strict=True)
    for call, body in zip(calls, bodies, strict=True):
        if call not in found.digests:
            found.digests[call] = hashlib.sha256()
        found.digests[call].update(body.encode())
        found.unknown.update(unknown_fields(endpoint, body))


class _registered:  # noqa: N801 - reads as the block it opens
    """Arrow tables under names that DuckDB's SQL can use, for the length of a block."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> None:
        self._connection = connection
        self._tables = tables

    def __enter__(self) -> None:
        for name, table in self._tables.items():
            self._connection.register(name, table)

    def __exit__(self, *_: object) -> None:
        for name in self._tables:
            self._connection.unregister(name)


def _usable(index: pa.Table) -> pa.Table:
    """The requests with an answer to read: `place` in the index, and `n` in order of time."""
    numbered = index.append_column("place", pa.array(range(index.num_rows), pa.int64())).append_column(
        "n", pa.array(_by_time(index), pa.int64())
    )
    return numbered.filter(pc.is_null(numbered.column("error")))


def pages(index: pa.Table, bodies: Bodies) -> pa.Table:
    """The usable answers of an index: `n`, in order of time, the ids of the call, `fetched_at` and `body`."""
    usable = _usable(index).sort_by("n")
    return usable.select(["n", *CALL, "fetched_at"]).append_column(
        "body", pa.array(bodies(_places(usable)), pa.string())
    )


def _by_time(index: pa.Table) -> np.ndarray[Any, Any]:
    """For each request its place in time; of equal ones, that which landed later is later."""
    order = np.argsort(_micros(index.column("fetched_at")), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _places(rows: pa.Table) -> list[tuple[str, int, int]]:
    return list(zip(*(rows.column(name).to_pylist() for name in ("segment", "row_group", "row")), strict=True))


def _runs(rows: pa.Table, columns: list[str]) -> np.ndarray[Any, Any]:
    """A number per row that grows with each change in `columns`."""
    new = np.zeros(rows.num_rows, dtype=bool)
    for name in columns:
        codes = np.asarray(rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices)
        new[1:] |= codes[1:] != codes[:-1]
    return np.cumsum(new)


def _runs_of_pairs(stay: np.ndarray[Any, Any], since: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A dense number per (stay, since)."""
    pairs = np.stack([stay, _micros(since)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def _chunks(stay: np.ndarray[Any, Any], body_bytes: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """Slices of whole stays, of about `CHUNK_BYTES` of bodies each."""
    starts = np.flatnonzero(np.diff(stay, prepend=-1)).tolist()
    total = np.concatenate(([0], np.cumsum(np.asarray(body_bytes, dtype=np.int64))))
    begin = 0
    for start, stop in pairwise([*starts, len(stay)]):
        if start > begin and total[stop] - total[begin] > CHUNK_BYTES:
            yield begin, start
            begin = start
    if begin < len(stay):
        yield begin, len(stay)


def _micros(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))


def _with_ids(rows: pa.Table, ids: pa.Table) -> pa.Table:
    """`rows` with the ids of their stay instead of its number."""
    of = rows.column("stay").combine_chunks()
    columns = {name: ids.column(name).take(of) for name in STAY}
    columns |= {name: rows.column(name) for name in rows.column_names if name != "stay"}
    return pa.table(columns)


def _spread(column: pa.ChunkedArray, of: pa.Array) -> pa.Array:
    """A column's values by point, as a dictionary of the few that there are."""
    encoded = column.combine_chunks().dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(of), encoded.dictionary)


def _extent(series: pa.Table, of: np.ndarray[Any, Any], timestamp: np.ndarray[Any, Any]) -> pa.Table:
    """Of each series its stay and track, first and last point, and their number."""
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    ends = np.append(starts, len(of))[1:]
    held = series.select(["stay", "track_id", "track_type"])
    return (
        held.append_column("first_point", pa.array(timestamp[starts]))
        .append_column("last_point", pa.array(timestamp[ends - 1]))
        .append_column("points", pa.array(ends - starts))
    )


def _garbled(parsed: pa.Table, tracks: pa.Table, texts: list[str]) -> np.ndarray[Any, Any]:
    """Of which answers a series is something else than pairs of numbers, or nulls, so that points would be lost.

    DuckDB reads what is not of the shape it expects as null. So those answers are read again that have a null, or a
    track without any pair.
    """
    garbled = np.asarray(parsed.column("answer").combine_chunks().is_null()).copy()
    owner = np.asarray(tracks.column("n"))
    doubtful: set[int] = set()
    pairs_of_track = np.zeros(tracks.num_rows, dtype=np.int64)
    for name in METRICS:
        lists = tracks.column(name).combine_chunks()
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        pairs_of_track += lengths
        pairs = pc.list_flatten(lists)
        has_null = np.asarray(pairs.values.slice(2 * pairs.offset, 2 * len(pairs)).is_null()).reshape(-1, 2).any(axis=1)
        doubtful.update(np.repeat(owner, lengths)[has_null | np.asarray(pairs.is_null())].tolist())
    doubtful.update(owner[pairs_of_track == 0].tolist())
    for n in doubtful:
        try:
            _SHAPE.decode(texts[n])
        except (msgspec.DecodeError, RecursionError):
            garbled[n] = True
    return garbled


def _tracks(parsed: pa.Table, stay: np.ndarray[Any, Any]) -> pa.Table:
    """A row per track of an answer: `n`, `stay`, ids, `codec`, a list of pairs for each metric, and `warnings`."""
    lists = pc.struct_field(parsed.column("answer").combine_chunks(), "published_tracks")
    tracks = pc.list_flatten(lists)
    n = np.repeat(np.asarray(parsed.column("n")), np.asarray(pc.fill_null(pc.list_value_length(lists), 0)))
    columns = {"n": pa.array(n), "stay": pa.array(stay[n])}
    columns |= {name: pc.struct_field(tracks, name) for name in ("track_id", "track_type", "codec", "warnings")}
    for name in METRICS:
        columns[name] = pc.struct_field(tracks, [*name.split("_"), "data_points"])
    return pa.table(columns)


def _without_tracks(parsed: pa.Table, stay: np.ndarray[Any, Any]) -> pa.Table:
    answer = parsed.column("answer").combine_chunks()
    names = ["is_publisher", "is_subscriber", "client"]
    slim = pa.StructArray.from_arrays([pc.struct_field(answer, name) for name in names], names)
    return pa.table({"n": parsed.column("n"), "stay": pa.array(stay), "answer": slim})


def _dated(name: str, day: date, rows: pa.Table) -> pa.Table:
    rows = rows.append_column("session_date", pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows))
    return rows.select(TABLES[name].schema.names)


def _as_table(name: str, rows: pa.Table) -> pa.Table:
    schema = TABLES[name].schema
    return rows.select(schema.names).cast(schema)


def _no_clients() -> pa.Table:
    schema = TABLES["participant_sessions"].schema
    names = schema.names[schema.names.index("is_publisher") : schema.names.index("sdk")]
    return pa.schema([schema.field(name) for name in [*STAY, *names]]).empty_table()


def _none_held() -> pa.Table:
    schema = TABLES["windows"].schema
    return pa.schema([schema.field(name) for name in [*STAY, "since", "points"]]).empty_table()
