"""What a page shows of one call session, read from the published database.

Here is what is queried, and how much of it a page gets. Which call session is meant is decided in `find`; the values
that are returned are in `values`. What the figures mean is decided by the views in `quality`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.serving.report.around import read_around
from pipeline.serving.report.queries import choose, rows, table
from pipeline.serving.report.sides import ways_of
from pipeline.serving.report.values import CallContent, CallSession, MetricArrays, Row, StayContent, TrackContent

__all__ = ["MAX_CHARTS", "MAX_TABLE_ROWS", "MAX_TIMELINE_ROWS", "read"]

MAX_TABLE_ROWS = 100
"""Stays in the table of people. Here, on the timeline and in charts, the worst stays come first."""

MAX_TIMELINE_ROWS = 24
"""Stays on the timeline, which has to fit on a sheet of paper."""

MAX_CHARTS = 12
"""Stays with charts."""

MAX_CHARTS_OF_ONE_USER = 24
"""Stays with charts if the page is about one user."""


def read(database: duckdb.DuckDBPyConnection, session: CallSession, participant: str | None = None) -> CallContent:
    """Return what a page shows of a call session, or of one user in it, who must have taken part."""
    choose(database, session)
    (call,) = rows(database, "call")
    found = rows(database, "stays", participant=participant)
    stays = tuple(StayContent(number, **row) for number, row in enumerate(found, 1))
    charted = min(len(stays), MAX_CHARTS if participant is None else MAX_CHARTS_OF_ONE_USER)
    shown = min(len(stays), MAX_TIMELINE_ROWS)
    limits = rows(database, "thresholds")
    return CallContent(
        session=call["session"],
        quality=call["quality"],
        completeness=call["completeness"],
        participant=participant,
        stays=(*_with_details(database, stays[: max(shown, charted)], charted), *stays[max(shown, charted) :]),
        shown=shown,
        charted=charted,
        low_framerates=_known(limits, "low_framerate"),
        min_bitrates=_known(limits, "min_bitrate"),
        around=read_around(database, session.session_date, [stay.facts for stay in stays if stay.is_poor], participant),
    )


def _with_details(
    database: duckdb.DuckDBPyConnection, stays: Sequence[StayContent], charted: int
) -> Iterator[StayContent]:
    """Yield the stays with what the timeline needs, and the first `charted` of them with their tracks."""

    def by_stay(name: str, among: Sequence[StayContent]) -> dict[tuple[str, str], list[Row]]:
        return _grouped(rows(database, name, stays=_ids(among)), "user_id", "user_session_id")

    spans, warnings, windows = (by_stay(name, stays) for name in ("spans", "warnings", "windows"))
    tracks, metrics = by_stay("tracks", stays[:charted]), _metrics(database, stays[:charted])
    events = by_stay("events", stays[:charted])
    ways = ways_of(rows(database, "sides", stays=_ids(stays[:charted])))
    for number, stay in enumerate(stays):
        yield replace(
            stay,
            ways=tuple(way for way in ways if number < charted and way.concerns(stay.facts["user_session_id"])),
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
            events=tuple(events[stay.key]),
        )


def _metrics(
    database: duckdb.DuckDBPyConnection, stays: Sequence[StayContent]
) -> dict[tuple[str | None, ...], MetricArrays]:
    """Return the points of each track that has any, by its ids within the call session."""
    found = table(database, "samples", stays=_ids(stays))
    keys = zip(*(found.column(name).to_pylist() for name in found.column_names[:4]), strict=True)
    return {
        key: MetricArrays(
            _array(found, "instants", row).astype(np.int64),
            {name: _array(found, name, row).astype(np.float64) for name in ("bitrate", "framerate", "height")},
        )
        for row, key in enumerate(keys)
    }


def _known(limits: Iterable[Row], name: str) -> dict[str, float]:
    """Return a threshold by kind of track, where there is one."""
    return {row["track_kind"]: row[name] for row in limits if row[name] is not None}


def _ids(stays: Iterable[StayContent]) -> list[str]:
    return [stay.facts["user_session_id"] for stay in stays]


def _array(found: pa.Table, column: str, row: int) -> Any:
    """Return the list in a cell as an array."""
    return found.column(column)[row].values.to_numpy(zero_copy_only=False)


def _grouped(found: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Group rows by the values of some columns. A missing group is empty."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(row[name] for name in names)].append(row)
    return groups
