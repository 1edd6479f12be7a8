"""Responses of participant details made into the table `detail_points`: both sides of each connection.

Names of metrics, units, labels and thresholds are the source's own and stay as received. Which windows are requested is
in `planning.details`, when the table is built in `tables.extra`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.landing.order import microseconds
from pipeline.landing.pages import body_places, usable_responses
from pipeline.schema import STAY_KEY
from pipeline.sql import read_statement
from pipeline.tables.points import instants_of
from pipeline.tables.provenance import Provenance
from pipeline.tables.rows import batches, number_runs, with_day, with_ids

__all__ = ["DETAIL_TABLE", "explode_details", "flatten_details"]

log = logging.getLogger(__name__)

DETAIL_TABLE = "detail_points"

BATCH_BYTES = 2 << 20
"""Characters of bodies to work on at a time. They become Python numbers, of some 50 bytes each."""

Pairs = list[tuple[float | None, float | None] | None]
Texts = dict[str, str | None]
"""Texts of a series by column, such as its side and its metric."""


class _Descriptor(msgspec.Struct):
    label: str | None = None
    unit: str | None = None


Metrics = dict[str, Pairs | None] | None
Meta = dict[str, _Descriptor | None] | None
Thresholds = dict[str, msgspec.Raw] | None


class _Track(msgspec.Struct):
    track_id: str | None = None
    track_type: str | None = None
    codec: str | None = None
    rid: str | None = None
    metrics: Metrics = None
    metrics_meta: Meta = None
    thresholds: Thresholds = None


Tracks = dict[str, list[_Track | None] | None] | None


class _Publisher(msgspec.Struct):
    global_: Metrics = msgspec.field(default=None, name="global")
    global_meta: Meta = None
    global_thresholds: Thresholds = None
    tracks: Tracks = None


class _Subscription(msgspec.Struct):
    publisher_user_id: str | None = None
    publisher_user_session_id: str | None = None
    tracks: Tracks = None


class _Subscriber(msgspec.Struct):
    global_: Metrics = msgspec.field(default=None, name="global")
    global_meta: Meta = None
    global_thresholds: Thresholds = None
    subscriptions: list[_Subscription | None] | None = None


class _User(msgspec.Struct):
    metrics: Metrics = None
    metrics_meta: Meta = None
    thresholds: Thresholds = None


class _Timeframe(msgspec.Struct):
    step_seconds: int | None = None


class _Details(msgspec.Struct):
    publisher: _Publisher | None = None
    subscriber: _Subscriber | None = None
    user: _User | None = None
    timeframe: _Timeframe | None = None


_DECODER = msgspec.json.Decoder(_Details)

_TEXTS = (
    "side", "metric", "unit", "track_id", "track_type", "codec", "rid", "publisher_user_id",
    "publisher_user_session_id", "label", "thresholds",
)  # fmt: skip


@dataclass
class _Exploded:
    """The series of some responses, one row each, and their points end to end."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    series: list[npt.NDArray[np.int64]] = field(default_factory=list)
    timestamps: list[npt.NDArray[np.int64]] = field(default_factory=list)
    values: list[npt.NDArray[np.float64]] = field(default_factory=list)


def flatten_details(sql: BodySql, day: date, landing: Landing, provenance: Provenance) -> Iterator[pa.Table]:
    """Yield the rows of a day, some whole stays at a time, in the order of the table."""
    responses = usable_responses(landing.index("participant_details", day))
    responses = responses.sort_by([(name, "ascending") for name in [*STAY_KEY, "fetched_at", "n"]])
    stay = number_runs(responses, STAY_KEY)
    suspect = 0
    for start, stop in batches(stay, responses.column("body_bytes"), BATCH_BYTES):
        batch = responses.slice(start, stop - start)
        bodies = landing.bodies("participant_details", day, body_places(batch))
        provenance.search("participant_details", bodies)
        numbers = stay[start:stop] - stay[start]
        windows = zip(microseconds(batch.column("since")), microseconds(batch.column("until")), strict=True)
        series, points, left_out = explode_details(bodies, numbers.tolist(), list(windows))
        suspect += left_out
        rows = sql.query(_statement(), series=series, points=points)
        ids = batch.take(pa.array(np.flatnonzero(np.diff(numbers, prepend=-1)))).select(STAY_KEY)
        yield with_day(DETAIL_TABLE, day, with_ids(rows, ids))
    if suspect:
        log.warning(
            "%s: %d windows of participant details have another shape than documented, or timestamps outside the "
            "window; their responses are kept, and their points are left out",
            day,
            suspect,
            extra={"day": day},
        )


def explode_details(
    bodies: list[str], stays: list[int], windows: list[tuple[int, int]]
) -> tuple[pa.Table, pa.Table, int]:
    """Return the series of responses, their points, and how many responses were left out.

    `stays` numbers the stay of each response, `windows` has the bounds in microseconds that were requested. A later
    response comes after an earlier one. Series have a number `series`, `stay`, `step_seconds` and their texts; points
    have `series`, `timestamp` in microseconds since 1970 and `value`. A response is left out, whole, if a series is not
    a list of pairs, or if a timestamp is more than a minute outside its window.
    """
    found = _Exploded()
    left_out = 0
    for body, stay, window in zip(bodies, stays, windows, strict=True):
        try:
            response = _DECODER.decode(body)
        except (msgspec.DecodeError, RecursionError):
            left_out += 1
            continue
        left_out += not _add(found, response, stay, window)
    texts = {name: pa.array([row[name] for row in found.rows], pa.string()) for name in _TEXTS}
    numbers = {name: pa.array([row[name] for row in found.rows], pa.int64()) for name in ("stay", "step_seconds")}
    series = pa.table({"series": pa.array(range(len(found.rows)), pa.int64()), **numbers, **texts})
    points = pa.table(
        {
            "series": pa.array(np.concatenate([np.zeros(0, np.int64), *found.series])),
            "timestamp": pa.array(np.concatenate([np.zeros(0, np.int64), *found.timestamps])),
            "value": pa.array(np.concatenate([np.zeros(0), *found.values])),
        }
    )
    return series, points, left_out


def _add(found: _Exploded, response: _Details, stay: int, window: tuple[int, int]) -> bool:
    """Add the series of a response; return False, and add none, if a timestamp cannot be right."""
    step = response.timeframe.step_seconds if response.timeframe is not None else None
    named: list[tuple[Texts, npt.NDArray[np.float64]]] = []
    for row, pairs in _series(response):
        whole = [pair for pair in pairs if pair is not None and pair[1] is not None]
        if any(time is None for time, _ in whole):
            return False
        if whole:
            named.append((row, np.array(whole, dtype=np.float64)))
    if not named:
        return True
    columns = np.concatenate([points for _, points in named])
    instants = instants_of(columns[:, 0], *window)
    if instants is None:
        return False
    lengths = [len(points) for _, points in named]
    first = len(found.rows)
    found.rows += [{**dict.fromkeys(_TEXTS), **row, "stay": stay, "step_seconds": step} for row, _ in named]
    found.series.append(np.repeat(np.arange(first, len(found.rows)), lengths))
    found.timestamps.append(instants)
    found.values.append(columns[:, 1])
    return True


def _series(
    response: _Details,
) -> Iterator[tuple[Texts, Pairs]]:
    """Yield each series of a response: the texts of its row, and its pairs."""
    if (publisher := response.publisher) is not None:
        ids: Texts = {"side": "publisher"}
        yield from _metrics(ids, publisher.global_, publisher.global_meta, publisher.global_thresholds)
        yield from _tracks(ids, publisher.tracks)
    if (subscriber := response.subscriber) is not None:
        ids = {"side": "subscriber"}
        yield from _metrics(ids, subscriber.global_, subscriber.global_meta, subscriber.global_thresholds)
        for subscription in subscriber.subscriptions or ():
            if subscription is not None:
                names = ("publisher_user_id", "publisher_user_session_id")
                yield from _tracks(ids | {name: getattr(subscription, name) for name in names}, subscription.tracks)
    if (user := response.user) is not None:
        yield from _metrics({"side": "user"}, user.metrics, user.metrics_meta, user.thresholds)


def _tracks(ids: Texts, tracks: Tracks) -> Iterator[tuple[Texts, Pairs]]:
    for kind, of_kind in (tracks or {}).items():
        for track in of_kind or ():
            if track is not None:
                own = {name: getattr(track, name) for name in ("track_id", "codec", "rid")}
                named = {**ids, **own, "track_type": track.track_type or kind}
                yield from _metrics(named, track.metrics, track.metrics_meta, track.thresholds)


def _metrics(ids: Texts, metrics: Metrics, meta: Meta, thresholds: Thresholds) -> Iterator[tuple[Texts, Pairs]]:
    for metric, pairs in (metrics or {}).items():
        described = (meta or {}).get(metric) or _Descriptor()
        limits = bytes((thresholds or {}).get(metric, b"")).decode()
        yield (
            {
                **ids,
                "metric": metric,
                "unit": described.unit,
                "label": described.label,
                "thresholds": None if limits in ("", "null", "[]") else limits,
            },
            pairs or [],
        )


_statement = partial(read_statement, "pipeline.tables", DETAIL_TABLE)
