"""What a report reads from the published database: one call session with its stays and tracks, as frozen values.

Here is which call session is meant, what is queried (`sql`, with the macro of `this_call.sql`), and how much of it
a page gets. What the figures mean is decided by the views in `quality`; how values are drawn is in `timeline` and
`stay_chart`, how they are written in `page`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import FixSettings
from pipeline.sql import read_statement

__all__ = [
    "MAX_CHARTS",
    "MAX_TABLE_ROWS",
    "MAX_TIMELINE_ROWS",
    "CallContent",
    "CallSession",
    "MetricArrays",
    "Row",
    "Span",
    "StayContent",
    "TrackContent",
    "find",
    "merge_windows",
    "read",
]

Row = Mapping[str, Any]
Span = tuple[datetime, datetime]
"""A stretch of time, [since, until)."""

MAX_TABLE_ROWS = 100
"""Stays in the table of people. Here, on the timeline and in charts, the worst stays come first."""

MAX_TIMELINE_ROWS = 24
"""Stays on the timeline, which has to fit on a sheet of paper."""

MAX_CHARTS = 12
"""Stays with charts."""

MAX_CHARTS_OF_ONE_USER = 24
"""Stays with charts if the page is about one user."""

MAX_NAMES = 10
"""Users or call sessions that a message names."""


@dataclass(frozen=True)
class CallSession:
    """The ids of one call session: the four columns that every table starts with."""

    session_date: date
    call_type: str
    call_id: str
    call_session_id: str


@dataclass(frozen=True)
class MetricArrays:
    """The metrics of a track as arrays.

    Attributes:
        instants: microseconds since 1970 (UTC), in order.
        values: by metric (bitrate, framerate, height) a value at each instant, NaN if the metric has none.
    """

    instants: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TrackContent:
    """A published track.

    Attributes:
        label: its name on the page, such as "T1 camera".
        quality: its row of `track_quality`, with `first_point_at` and `last_point_at`.
        metrics: its points; None if it has none.
    """

    label: str
    quality: Row
    metrics: MetricArrays | None


@dataclass(frozen=True)
class StayContent:
    """One stay, with what the page shows of it.

    Attributes:
        number: its number on the page, from 1; the worst stay comes first.
        quality: its row of `participant_quality`.
        facts: its row of `participant_sessions`.
        stay_number: which stay of its user this is, from 1.
        stays: how many stays its user has.
        tracks: its tracks, worst first. Empty if the stay has no charts.
        spans: stretches with data by kind of track. Empty, as is what follows, if the stay is only in the table.
        warnings: warnings on all tracks, oldest first.
        windows: windows without a response that could be loaded, oldest first.
    """

    number: int
    quality: Row
    facts: Row
    stay_number: int
    stays: int
    tracks: tuple[TrackContent, ...] = ()
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    warnings: tuple[Row, ...] = ()
    windows: tuple[Row, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The ids of the stay within the call session."""
        return self.facts["user_id"], self.facts["user_session_id"]

    @property
    def name(self) -> str:
        """The user, and which of their stays it is if they have several."""
        return f"{self.facts['user_id']}{self.ordinal}"

    @property
    def ordinal(self) -> str:
        """Which stay of its user it is, such as " (1 of 2)"; empty if it is the only one."""
        return f" ({self.stay_number} of {self.stays})" if self.stays > 1 else ""

    @property
    def is_poor(self) -> bool:
        """Whether its worst track is poor."""
        return bool(self.quality["class"] == "poor")

    @property
    def all_spans(self) -> Iterator[Span]:
        """The spans of all kinds of tracks."""
        for spans in self.spans.values():
            yield from spans


@dataclass(frozen=True)
class CallContent:
    """What a page shows of one call session.

    Attributes:
        session: its row of `call_sessions`.
        quality: its row of `call_quality`.
        completeness: its row of `ingest_completeness_by_call`; all values are None if it has none.
        participant: the user that the page is about; None if it is about all.
        stays: all stays, or those of the participant, worst first.
        shown: how many of them are on the timeline.
        charted: how many of them have charts.
        low_framerates: by kind of track, the frame rate under which it is low.
    """

    session: Row
    quality: Row
    completeness: Row
    participant: str | None
    stays: tuple[StayContent, ...]
    shown: int
    charted: int
    low_framerates: Mapping[str, float]


def find(database: duckdb.DuckDBPyConnection, wanted: str) -> CallSession:
    """Return the call session with the id `wanted`, or the only session of the call `wanted` (`type:id`).

    Raises `FixSettings` if there is none, or more than one.
    """
    rows = _rows(database, "sessions", wanted=wanted)
    chosen = [row for row in rows if row["call_session_id"] == wanted] or rows
    if not chosen:
        nearest = _rows(database, "nearest", wanted=wanted)
        known = f"there are {_listed(nearest)}" if nearest else "the database has no calls yet"
        raise FixSettings(f"no call session {wanted!r}; {known}")
    if len(chosen) > 1:
        more = f" and {len(chosen) - MAX_NAMES} earlier ones" if len(chosen) > MAX_NAMES else ""
        listed = _listed(chosen[:MAX_NAMES])
        raise FixSettings(f"{wanted!r} names {len(chosen)} call sessions; choose one: {listed}{more}")
    return CallSession(**{name: chosen[0][name] for name in CallSession.__annotations__})


def read(database: duckdb.DuckDBPyConnection, session: CallSession, participant: str | None = None) -> CallContent:
    """Return what a page shows of a call session, or of one user in it.

    Raises `FixSettings` if the user did not take part.
    """
    database.execute(read_statement("pipeline.serving.report", "this_call"))
    database.execute("SET VARIABLE this_call = $ids", {"ids": vars(session)})
    (call,) = _rows(database, "call")
    users = [row["user_id"] for row in _rows(database, "users")]
    if participant is not None and participant not in users:
        raise FixSettings(f"no user {participant!r} in call session {session.call_session_id!r}; {_known(users)}")
    rows = _rows(database, "stays", participant=participant)
    stays = tuple(StayContent(number, **row) for number, row in enumerate(rows, 1))
    charted = min(len(stays), MAX_CHARTS if participant is None else MAX_CHARTS_OF_ONE_USER)
    shown = min(len(stays), MAX_TIMELINE_ROWS)
    return CallContent(
        session=call["session"],
        quality=call["quality"],
        completeness=call["completeness"],
        participant=participant,
        stays=(*_with_details(database, stays[: max(shown, charted)], charted), *stays[max(shown, charted) :]),
        shown=shown,
        charted=charted,
        low_framerates={row["track_kind"]: row["low_framerate"] for row in _rows(database, "thresholds")},
    )


def merge_windows(windows: Iterable[Row]) -> list[tuple[str, datetime, datetime]]:
    """Merge windows of one state that follow one another. Returns stretches: state, since, until."""
    merged: list[tuple[str, datetime, datetime]] = []
    for window in windows:
        state, since, until = window["state"], window["since"], window["until"]
        if merged and merged[-1][0] == state and merged[-1][2] == since:
            since = merged.pop()[1]
        merged.append((state, since, until))
    return merged


def _with_details(
    database: duckdb.DuckDBPyConnection, stays: Sequence[StayContent], charted: int
) -> Iterator[StayContent]:
    """Yield the stays with what the timeline needs, and the first `charted` of them with their tracks."""

    def by_stay(name: str, among: Sequence[StayContent]) -> dict[tuple[str, str], list[Row]]:
        return _grouped(_rows(database, name, stays=_ids(among)), "user_id", "user_session_id")

    spans, warnings, windows = (by_stay(name, stays) for name in ("spans", "warnings", "windows"))
    tracks, metrics = by_stay("tracks", stays[:charted]), _metrics(database, stays[:charted])
    for stay in stays:
        yield replace(
            stay,
            tracks=tuple(
                TrackContent(
                    f"T{number} {row['track_kind'].replace('_', ' ')}",
                    row,
                    metrics.get((*stay.key, row["track_id"], row["track_type"])),
                )
                for number, row in enumerate(tracks[stay.key], 1)
            ),
            spans={
                kind: tuple((span["since"], span["until"]) for span in found)
                for (kind,), found in _grouped(spans[stay.key], "track_kind").items()
            },
            warnings=tuple(warnings[stay.key]),
            windows=tuple(windows[stay.key]),
        )


def _metrics(
    database: duckdb.DuckDBPyConnection, stays: Sequence[StayContent]
) -> dict[tuple[str | None, ...], MetricArrays]:
    """Return the points of each track that has any, by its ids within the call session."""
    table = _table(database, "samples", stays=_ids(stays))
    keys = zip(*(table.column(name).to_pylist() for name in table.column_names[:4]), strict=True)
    return {
        key: MetricArrays(
            _array(table, "instants", row).astype(np.int64),
            {name: _array(table, name, row).astype(np.float64) for name in ("bitrate", "framerate", "height")},
        )
        for row, key in enumerate(keys)
    }


def _ids(stays: Iterable[StayContent]) -> list[str]:
    return [stay.facts["user_session_id"] for stay in stays]


def _array(table: pa.Table, column: str, row: int) -> Any:
    """Return the list in a cell as an array."""
    return table.column(column)[row].values.to_numpy(zero_copy_only=False)


def _grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Group rows by the values of some columns. A missing group is empty."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _rows(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the rows of a query in `sql`."""
    rows: list[dict[str, Any]] = _table(database, name, **parameters).to_pylist()
    return rows


def _table(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> pa.Table:
    return database.execute(read_statement("pipeline.serving.report", name), parameters).to_arrow_table()


def _listed(rows: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{row['call_session_id']!r} ({row['call_cid']!r}"
        + (f", {row['started_at']:%Y-%m-%d %H:%M} UTC)" if row["started_at"] else ")")
        for row in rows
    )


def _known(users: list[str]) -> str:
    if not users:
        return "it has no known users"
    more = f" and {len(users) - MAX_NAMES} more" if len(users) > MAX_NAMES else ""
    return f"its users are {', '.join(map(repr, users[:MAX_NAMES]))}{more}"
