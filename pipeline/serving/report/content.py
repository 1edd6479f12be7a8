"""What is in a report: the rows of one call session from the published database, as frozen values.

Here belong which call is meant, what is asked of the database, and how much of it goes into a page. What the figures
mean is the business of the views; how they are drawn is `charts.py`, how they read `page.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import FixSettings
from pipeline.sql import load

__all__ = ["CHARTED", "LISTED", "SHOWN", "Content", "Samples", "Session", "Stay", "Track", "find", "read"]

Row = Mapping[str, Any]

LISTED, SHOWN, CHARTED = 100, 24, 12
"""Stays in the table, on the timeline (which has to fit a sheet of paper), and with charts; the worst ones go first."""
CHARTED_OF_ONE = 24
"""Stays with charts where the page is about one user."""
NAMED = 10
"""Users or sessions that a message lists."""


@dataclass(frozen=True)
class Session:
    """One session of a call: the four ids that every table starts with."""

    session_date: date
    call_type: str
    call_id: str
    call_session_id: str

    @property
    def ids(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Samples:
    """The points of a track: instants in microseconds since 1970, and by metric a value at each, NaN where none is."""

    instants: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Track:
    """A published track: its name on the page, its row of `track_quality` with first and last point, and all points."""

    label: str
    quality: Row
    samples: Samples | None


@dataclass(frozen=True)
class Stay:
    """One user session: its rows of `participant_quality` and `participant_sessions`, and what belongs to it.

    `spans` are the stretches with data by kind of track; `warnings` those of all its tracks; `windows` those without an
    answer that could be loaded. They are empty where the stay is only listed; `tracks` also where it has no charts.
    """

    number: int
    quality: Row
    facts: Row
    stay_number: int
    stays: int
    tracks: tuple[Track, ...] = ()
    spans: Mapping[str, tuple[tuple[datetime, datetime], ...]] | None = None
    warnings: tuple[Row, ...] = ()
    windows: tuple[Row, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.facts["user_id"], self.facts["user_session_id"]


@dataclass(frozen=True)
class Content:
    """A page's worth of one call session, worst stays first. `stays` are all that were asked for, in full only as far
    as `shown` and `charted` go.
    """

    session: Row
    quality: Row
    completeness: Row
    participant: str | None
    stays: tuple[Stay, ...]
    shown: int
    charted: int
    low_framerates: Mapping[str, float]


def find(database: duckdb.DuckDBPyConnection, wanted: str) -> Session:
    """The call session with the id `wanted`, or the only one of the call `wanted` (type:id).

    Raises `FixSettings` where there is none, or more than one.
    """
    rows = _ask(database, "sessions", wanted=wanted)
    exact = [row for row in rows if row["call_session_id"] == wanted]
    chosen = exact or rows
    if not chosen:
        near = _ask(database, "nearest", wanted=wanted)
        known = f"there are {_listed(near)}" if near else "the database holds no call yet"
        raise FixSettings(f"no call session {wanted!r}; {known}")
    if len(chosen) > 1:
        more = f" and {len(chosen) - NAMED} earlier ones" if len(chosen) > NAMED else ""
        raise FixSettings(f"{wanted!r} names {len(chosen)} call sessions; choose one: {_listed(chosen[:NAMED])}{more}")
    return Session(**{name: chosen[0][name] for name in Session.__annotations__})


def read(database: duckdb.DuckDBPyConnection, session: Session, participant: str | None = None) -> Content:
    """What a page says of `session`, or of one user in it. Raises `FixSettings` where that user was not there."""
    ids = session.ids
    (call,) = _ask(database, "call", **ids)
    users = [row["user_id"] for row in _ask(database, "users", **ids)]
    if participant is not None and participant not in users:
        raise FixSettings(f"no user {participant!r} in call session {session.call_session_id!r}; {_known(users)}")
    rows = _ask(database, "stays", **ids, participant=participant)
    charted = CHARTED if participant is None else CHARTED_OF_ONE
    shown = tuple(Stay(number, **row) for number, row in enumerate(rows, 1))
    return Content(
        session=call["session"],
        quality=call["quality"],
        completeness=call["completeness"],
        participant=participant,
        stays=_filled(database, session, shown, charted),
        shown=min(len(rows), SHOWN),
        charted=min(len(rows), charted),
        low_framerates={row["track_kind"]: row["low_framerate"] for row in _ask(database, "thresholds")},
    )


def _filled(
    database: duckdb.DuckDBPyConnection, session: Session, stays: tuple[Stay, ...], charted: int
) -> tuple[Stay, ...]:
    """The stays, the first ones with all that timeline and charts need."""
    ids = session.ids

    def rows(name: str, among: Iterable[Stay]) -> dict[tuple[str, str], list[Row]]:
        wanted = [stay.facts["user_session_id"] for stay in among]
        return _grouped(_ask(database, name, **ids, stays=wanted), "user_id", "user_session_id")

    in_charts, on_timeline, only_listed = stays[:charted], stays[: max(SHOWN, charted)], stays[max(SHOWN, charted) :]
    spans, warnings, windows = (rows(name, on_timeline) for name in ("spans", "warnings", "windows"))
    tracks, samples = rows("tracks", in_charts), _samples(database, ids, in_charts)

    def filled(stay: Stay) -> Stay:
        return replace(
            stay,
            tracks=tuple(
                Track(
                    f"T{number} {row['track_kind'].replace('_', ' ')}",
                    row,
                    samples.get((*stay.key, row["track_id"], row["track_type"])),
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

    return (*map(filled, on_timeline), *only_listed)


def _samples(
    database: duckdb.DuckDBPyConnection, ids: Row, stays: tuple[Stay, ...]
) -> dict[tuple[str | None, ...], Samples]:
    wanted = [stay.facts["user_session_id"] for stay in stays]
    table = _table(database, "samples", **ids, stays=wanted)
    keys = zip(*(table.column(name).to_pylist() for name in table.column_names[:4]), strict=True)
    return {
        key: Samples(
            _array(table, "instants", place).astype(np.int64),
            {name: _array(table, name, place).astype(np.float64) for name in ("bitrate", "framerate", "height")},
        )
        for place, key in enumerate(keys)
    }


def _array(table: pa.Table, column: str, place: int) -> Any:
    return table.column(column)[place].values.to_numpy(zero_copy_only=False)


def _grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _ask(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(database, name, **parameters).to_pylist()
    return rows


def _table(database: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> pa.Table:
    return database.execute(load(__package__ or "", f"queries/{name}"), parameters).to_arrow_table()


def _listed(rows: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{row['call_session_id']!r} ({row['call_cid']!r}"
        + (f", {row['started_at']:%Y-%m-%d %H:%M} UTC)" if row["started_at"] else ")")
        for row in rows
    )


def _known(users: list[str]) -> str:
    if not users:
        return "nobody is known to have been there"
    more = f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
    return f"there were {', '.join(map(repr, users[:NAMED]))}{more}"
