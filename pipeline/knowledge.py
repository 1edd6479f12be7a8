"""What has landed of a day, as the values that `plan.py` works on. Pure functions from Arrow tables.

The tables are `landing.py`'s indexes and what `flatten.py` makes of call_stats and Call Attendance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.exchange import Call, Stay
from pipeline.plan import Asked, Attendance, CallFacts, Listing, StayFacts, expected
from pipeline.windows import Window

__all__ = ["Known", "expected_windows", "known_of", "listings_of", "requests_of"]

_IDS = ("call_type", "call_id", "call_session_id", "user_id", "user_session_id")
_INSTANT = pa.timestamp("us", tz="UTC")
_EXPECTED = pa.schema([*((name, pa.string()) for name in _IDS), ("since", _INSTANT), ("until", _INSTANT)])


@dataclass(frozen=True)
class Known:
    """Calls, who took part, and the stays, of one day. Stays are of calls that are known only."""

    calls: dict[Call, CallFacts]
    attendance: dict[Call, Attendance]
    stays: dict[Stay, StayFacts]


def known_of(sessions: pa.Table, attended: pa.Table, promised: pa.Table, index: pa.Table) -> Known:
    """What the rows of call_sessions and of Call Attendance, and the index of the latter, say."""
    calls = {
        _call(row): CallFacts(_call(row), row["started_at"], row["ended_at"], row["generated_at"])
        for row in sessions.select([*_IDS[:3], "started_at", "ended_at", "generated_at"]).to_pylist()
    }
    listings = listings_of(index)
    totals = {_call(row): (row["promised"] or 0) - row["forgotten"] for row in promised.to_pylist()}
    looked_at: dict[Call | None, Any] = {}
    for row in index.select([*_IDS[:3], "fetched_at", "error"]).to_pylist():
        if row["error"] is None:
            call = _call(row)
            looked_at[call] = max(row["fetched_at"], looked_at.get(call, row["fetched_at"]))
    stays = {}
    held = dict.fromkeys(calls, 0)
    for row in attended.select([*_IDS, "joined_at", "left_at"]).to_pylist():
        call = _call(row)
        if call in calls:
            stay = Stay(call, row["user_id"], row["user_session_id"])
            stays[stay] = StayFacts(stay, calls[call], row["joined_at"], row["left_at"], looked_at[call])
            held[call] += 1
    attendance = {
        call: Attendance(totals.get(call, 0), held[call], tuple(listings.get(call, {}).values())) for call in calls
    }
    return Known(calls, attendance, stays)


def listings_of(index: pa.Table) -> dict[Call | None, dict[str, Listing]]:
    """The listings in an index, by call session (None for call_stats) and id, oldest first."""
    found: dict[Call | None, dict[str, Listing]] = {}
    columns = [*_IDS[:3], "listing", "fetched_at", "status", "error", "next_cursor"]
    for row in index.select(columns).sort_by("fetched_at").to_pylist():
        call = _call(row) if row["call_id"] is not None else None
        listing = found.setdefault(call, {}).setdefault(row["listing"], Listing(row["listing"], row["fetched_at"]))
        listing.stuck = row["error"] is not None
        listing.gone = row["status"] == 404
        if not listing.stuck:
            listing.pages += 1
            listing.next_cursor = row["next_cursor"]
    return found


def requests_of(index: pa.Table) -> dict[Stay, list[Asked]]:
    """The requests for windows in an index, by stay."""
    asked: dict[Stay, list[Asked]] = {}
    columns = [*_IDS, "since", "until", "fetched_at", "status", "error", "publishes"]
    for row in index.select(columns).to_pylist():
        stay = Stay(_call(row), row["user_id"], row["user_session_id"])
        asked.setdefault(stay, []).append(
            Asked(
                Window(row["since"], row["until"]),
                row["fetched_at"],
                row["status"],
                row["error"] is None,
                row["publishes"],
            )
        )
    return asked


def expected_windows(stays: dict[Stay, StayFacts], asked: dict[Stay, list[Asked]]) -> pa.Table:
    """The windows that should exist, one row each: ids, `since`, `until`, sorted."""
    rows: list[tuple[Any, ...]] = [
        (*_ids(stay), window.since, window.until)
        for stay in sorted(stays)
        for window in expected(stays[stay], asked.get(stay, ()))
    ]
    columns = zip(*rows, strict=True) if rows else ([] for _ in _EXPECTED)
    return pa.table([pa.array(column, item.type) for column, item in zip(columns, _EXPECTED, strict=True)], _EXPECTED)


def _call(row: dict[str, Any]) -> Call:
    return Call(row["call_type"], row["call_id"], row["call_session_id"])


def _ids(stay: Stay) -> tuple[str, ...]:
    return (stay.call.call_type, stay.call.call_id, stay.call.call_session_id, stay.user_id, stay.user_session_id)
