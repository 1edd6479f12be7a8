"""Responses of Participant Metrics made into rows of tracks, data points and warnings.

DuckDB parses the JSON (`tables/sql`), `points` sorts the data points. A day is worked through in batches of whole
stays, so that memory does not grow with the day. Rows are a pure function of the raw responses. The tables that need
the whole day are in `joins`; the pages of listings are read in `planning`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints import ENDPOINTS, SERIES, Field, Node
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Place
from pipeline.landing.order import microseconds
from pipeline.landing.pages import body_places, usable_responses
from pipeline.quality.incidents.camera_minutes import CameraMinutes, minutes_of_cameras
from pipeline.schema import METRICS, STAY_KEY, TABLES
from pipeline.sql import read_statement
from pipeline.tables.points import UNITS, Points, ResponseWindows, explode_points
from pipeline.tables.provenance import Provenance
from pipeline.tables.rows import (
    batches,
    number_runs,
    number_windows,
    optional_text,
    take_as_dictionary,
    with_day,
    with_ids,
)

__all__ = ["BATCH_BYTES", "Findings", "MetricRows", "ReadBodies", "flatten_metrics"]

_statement = partial(read_statement, "pipeline.tables")

BATCH_BYTES = 4 << 20
"""Characters of bodies to work on at a time: few enough that memory is reused rather than requested again."""

ReadBodies = Callable[[Sequence[Place]], list[str]]
"""Reads the bodies at some places; `Landing.bodies` in production."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Findings:
    """What else one batch of whole stays yields. It is small; `joins` needs it after the last batch.

    Attributes:
        clients: one row per stay: ids, and columns of `participant_sessions`.
        window_points: one row per window: ids of its stay, `since`, and `points`, how many distinct ones it has.
        outcomes: one row per response: `place` in the index, `suspect`, and the `unit` of its timestamps.
        cameras: the minutes of cameras. The number of a stay is its row in `clients`.
    """

    clients: pa.Table
    window_points: pa.Table
    outcomes: pa.Table
    cameras: CameraMinutes


@dataclass(frozen=True)
class MetricRows:
    """The rows from the responses of some whole stays, in the order of their tables, and what else was found."""

    tracks: pa.Table
    metric_points: pa.Table
    track_warnings: pa.Table
    findings: Findings


def flatten_metrics(
    sql: BodySql, day: date, index: pa.Table, read_bodies: ReadBodies, provenance: Provenance
) -> Iterator[MetricRows]:
    """Yield the rows of a day, batch by batch, in the order of the tables.

    `index` is that of Participant Metrics, see `Landing.index`. Raises what `read_bodies` raises.
    """
    responses = usable_responses(index)
    responses = responses.sort_by([(name, "ascending") for name in [*STAY_KEY, "fetched_at", "n"]])
    stay = number_runs(responses, STAY_KEY)
    for start, stop in batches(stay, responses.column("body_bytes"), BATCH_BYTES):
        batch = responses.slice(start, stop - start)
        bodies = read_bodies(body_places(batch))
        provenance.add("participant_metrics", batch, bodies)
        yield _flatten_batch(sql, day, batch, bodies, stay[start:stop] - stay[start])


def _flatten_batch(sql: BodySql, day: date, responses: pa.Table, bodies: list[str], stay: Ints) -> MetricRows:
    numbered = pa.table({"n": pa.array(range(len(bodies)), pa.int64()), "body": pa.array(bodies, pa.string())})
    parsed = sql.query(_statement("metrics"), responses=numbered)
    tracks = _tracks(parsed, stay)
    described = tracks.drop_columns(METRICS)
    window = number_windows(stay, responses.column("since"))
    windows = ResponseWindows(
        stay, window, microseconds(responses.column("since")), microseconds(responses.column("until"))
    )
    points = explode_points(tracks, windows, _unreadable(parsed, tracks, bodies))
    ids = responses.take(pa.array(np.flatnonzero(np.diff(stay, prepend=-1)))).select(STAY_KEY)
    track_rows = sql.query(_statement("tracks"), tracks=described, extents=_extents(points))
    clients = sql.query(_statement("clients"), parsed=_without_tracks(parsed, stay))
    _, first_of_window = np.unique(window, return_index=True)
    return MetricRows(
        tracks=with_day("tracks", day, with_ids(track_rows, ids)),
        metric_points=with_day("metric_points", day, _point_rows(points, ids)),
        track_warnings=_warning_rows(sql, day, described, ids),
        findings=Findings(
            # A copy: what comes from DuckDB holds on to all the memory of its query.
            clients=with_ids(clients, ids).take(pa.array(range(clients.num_rows))),
            window_points=responses.take(pa.array(first_of_window))
            .select([*STAY_KEY, "since"])
            .append_column("points", pa.array(points.per_window)),
            outcomes=pa.table(
                {
                    "place": responses.column("place"),
                    "suspect": pa.array(points.suspect),
                    "unit": optional_text(points.unit, UNITS),
                }
            ),
            cameras=minutes_of_cameras(points.runs, points.run_of_point, points.timestamp, points.value),
        ),
    )


def _warning_rows(sql: BodySql, day: date, tracks: pa.Table, ids: pa.Table) -> pa.Table:
    """Return one row per warning. Most batches have none, and need no query."""
    if not pc.sum(pc.list_value_length(tracks.column("warnings"))).as_py():
        return TABLES["track_warnings"].schema.empty_table()
    warnings = sql.query(_statement("track_warnings"), tracks=tracks)
    return with_day("track_warnings", day, with_ids(warnings, ids))


def _point_rows(points: Points, ids: pa.Table) -> pa.Table:
    """Return one row per data point, with text columns as dictionaries."""
    runs, of = with_ids(points.runs, ids), pa.array(points.run_of_point)
    columns = {name: take_as_dictionary(runs.column(name), of) for name in runs.column_names}
    timestamp = pa.array(points.timestamp).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    return pa.table(columns | {"timestamp": timestamp, "value": pa.array(points.value)})


def _extents(points: Points) -> pa.Table:
    """Return the stay and track of each run of points, its first and last point, and how many it has."""
    starts = np.flatnonzero(np.diff(points.run_of_point, prepend=-1))
    ends = np.append(starts, len(points.run_of_point))[1:]
    return (
        points.runs.select(["stay", "track_id", "track_type"])
        .append_column("first_point", pa.array(points.timestamp[starts]))
        .append_column("last_point", pa.array(points.timestamp[ends - 1]))
        .append_column("points", pa.array(ends - starts))
    )


def _tracks(parsed: pa.Table, stay: Ints) -> pa.Table:
    """Return one row per track of a response: `n`, `stay`, ids, `codec`, `warnings`, and a list of pairs per metric."""
    lists = pc.struct_field(parsed.column("response").combine_chunks(), "published_tracks")
    tracks = pc.list_flatten(lists)
    n = np.repeat(np.asarray(parsed.column("n")), np.asarray(pc.fill_null(pc.list_value_length(lists), 0)))
    columns = {"n": pa.array(n), "stay": pa.array(stay[n])}
    columns |= {name: pc.struct_field(tracks, name) for name in ("track_id", "track_type", "codec", "warnings")}
    for name in METRICS:
        columns[name] = pc.struct_field(tracks, [*name.split("_"), "data_points"])
    return pa.table(columns)


def _without_tracks(parsed: pa.Table, stay: Ints) -> pa.Table:
    response = parsed.column("response").combine_chunks()
    names = ["is_publisher", "is_subscriber", "client"]
    slim = pa.StructArray.from_arrays([pc.struct_field(response, name) for name in names], names)
    return pa.table({"n": parsed.column("n"), "stay": pa.array(stay), "response": slim})


def _unreadable(parsed: pa.Table, tracks: pa.Table, bodies: list[str]) -> npt.NDArray[np.bool_]:
    """Flag responses with a series that is not a list of [timestamp, value] pairs. DuckDB would turn it into NULL and
    lose points.

    Only responses with a null, or with a track without any pair, are decoded again.
    """
    unreadable = np.asarray(parsed.column("response").combine_chunks().is_null()).copy()
    owner = np.asarray(tracks.column("n"))
    doubtful: set[int] = set()
    pairs_of_track = np.zeros(tracks.num_rows, dtype=np.int64)
    for name in METRICS:
        lists = tracks.column(name).combine_chunks()
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        pairs_of_track += lengths
        pairs = pc.list_flatten(lists)
        values = pairs.values.slice(2 * pairs.offset, 2 * len(pairs))
        if not pairs.null_count and not values.null_count:
            continue
        has_null = np.asarray(values.is_null()).reshape(-1, 2).any(axis=1)
        doubtful.update(np.repeat(owner, lengths)[has_null | np.asarray(pairs.is_null())].tolist())
    doubtful.update(owner[pairs_of_track == 0].tolist())
    for n in doubtful:
        try:
            _STRICT.decode(bodies[n])
        except (msgspec.DecodeError, RecursionError):
            unreadable[n] = True
    return unreadable


def _strict_type(node: Node) -> Any:
    """Return a type that decodes each series in a node only if it is a list of pairs; None if there is none in it."""
    if isinstance(node, Field):
        return list[tuple[float | None, float | None] | None] if node.type == SERIES.type else None
    if isinstance(node, list):
        element = _strict_type(node[0])
        return None if element is None else GenericAlias(list, (element | None,))
    if node is None:
        return None
    types = [(name, type_ | None, None) for name, inner in node.items() if (type_ := _strict_type(inner))]
    return msgspec.defstruct("Strict", types) if types else None


_STRICT = msgspec.json.Decoder(_strict_type(ENDPOINTS["participant_metrics"].fields))
"""Decodes a response if every series in it is a list of pairs, or null. Ignores everything else."""
