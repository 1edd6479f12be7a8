"""Tables that need the whole day: participants with their clients, windows with their outcomes, completeness by call,
ratings, incidents.

Only joins, by SQL in `tables/sql`. What a response says is in `flatten`; what is missing is decided in `planning`,
what an incident is in `quality.incidents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from pipeline.landing.bodies import BodySql
from pipeline.landing.order import rank_by_time
from pipeline.model import RETENTION
from pipeline.planning.listings import ListingRows
from pipeline.quality.incidents.camera_minutes import CameraMinutes
from pipeline.quality.incidents.describe import find_incidents
from pipeline.quality.incidents.publishers import STAY_COLUMNS
from pipeline.schema import CALL_KEY, STAY_KEY, TABLES, as_table
from pipeline.sql import read_statement
from pipeline.tables.flatten import Findings

__all__ = ["completeness_table", "incident_tables", "participants_table", "ratings_table", "windows_table"]

_statement = partial(read_statement, "pipeline.tables")


def participants_table(sql: BodySql, day: date, listings: ListingRows, findings: Sequence[Findings]) -> pa.Table:
    """Return the rows of `participant_sessions`: who took part, and what metrics and statistics say about them."""
    rows = sql.query(
        _statement("participant_sessions"),
        {"day": day},
        participants=listings.participants,
        clients=_concat([found.clients for found in findings], _no_clients()),
        stats=listings.stats,
    )
    return as_table("participant_sessions", rows)


def windows_table(
    sql: BodySql, day: date, expected: pa.Table, index: pa.Table, findings: Sequence[Findings]
) -> pa.Table:
    """Return the rows of `windows`: those that should exist (ids, `since`, `until`), and their outcome."""
    outcomes = _concat([found.outcomes for found in findings], _no_outcomes())
    places = np.asarray(outcomes.column("place"))
    suspect = np.zeros(index.num_rows, dtype=bool)
    suspect[places] = np.asarray(outcomes.column("suspect"))
    row_of_outcome = np.full(index.num_rows, -1)
    row_of_outcome[places] = np.arange(len(places))
    requests = (
        index.append_column("n", pa.array(rank_by_time(index)))
        .append_column("suspect", pa.array(suspect))
        .append_column("unit", outcomes.column("unit").take(pa.array(row_of_outcome, mask=row_of_outcome < 0)))
    )
    window_points = _concat([found.window_points for found in findings], _no_window_points())
    rows = sql.query(
        _statement("windows"), {"day": day}, expected=expected, requests=requests, window_points=window_points
    )
    return as_table("windows", rows)


def completeness_table(
    sql: BodySql, day: date, listings: ListingRows, windows: pa.Table, judged: pa.Table, digests: pa.Table
) -> pa.Table:
    """Return the rows of `ingest_completeness_by_call`.

    `judged` are rows of `planning.completeness_rows`, `digests` those of `Provenance.digests`.
    """
    rows = sql.query(
        _statement("completeness"),
        {"day": day, "retention": RETENTION},
        sessions=listings.call_sessions.select([*CALL_KEY, "ended_at"]),
        totals=listings.totals,
        participants=listings.participants,
        windows=windows,
        judged=judged,
        digests=digests,
    )
    return as_table("ingest_completeness_by_call", rows)


def ratings_table(sql: BodySql, day: date, listings: ListingRows) -> pa.Table:
    """Return the rows of `user_ratings`: what was listed, for call sessions of the day."""
    rows = sql.query(
        _statement("user_ratings"),
        {"day": day},
        ratings=listings.ratings,
        participants=listings.participants.select(STAY_KEY),
    )
    return as_table("user_ratings", rows)


def incident_tables(
    sql: BodySql, day: date, participants: pa.Table, findings: Sequence[Findings]
) -> dict[str, pa.Table]:
    """Return the rows of `incidents` and `incident_calls`. `participants` are the rows of `participant_sessions`."""
    minutes = CameraMinutes.joined(
        [found.cameras for found in findings], [found.clients.num_rows for found in findings]
    )
    clients = _concat([found.clients.select(STAY_KEY) for found in findings], _no_clients().select(STAY_KEY))
    stays = sql.query(
        _statement("camera_stays"),
        stays=clients.append_column("stay", pa.array(np.arange(clients.num_rows))),
        participants=participants.select([*STAY_KEY, *(name for name in STAY_COLUMNS if name not in STAY_KEY)]),
    )
    incidents, calls = find_incidents(day, minutes, stays)
    return {"incidents": incidents, "incident_calls": calls}


def _concat(tables: list[pa.Table], empty: pa.Table) -> pa.Table:
    return pa.concat_tables(tables) if tables else empty


def _no_clients() -> pa.Table:
    schema = TABLES["participant_sessions"].schema
    names = schema.names[schema.names.index("is_publisher") : schema.names.index("sdk")]
    return pa.schema([schema.field(name) for name in [*STAY_KEY, *names]]).empty_table()


def _no_window_points() -> pa.Table:
    schema = TABLES["windows"].schema
    return pa.schema([schema.field(name) for name in [*STAY_KEY, "since", "points"]]).empty_table()


def _no_outcomes() -> pa.Table:
    return pa.schema([("place", pa.int64()), ("suspect", pa.bool_()), ("unit", pa.string())]).empty_table()
