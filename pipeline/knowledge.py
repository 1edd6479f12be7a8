"""What has landed of a day, as the values that `plan.py` works on. Pure functions from Arrow tables.

The tables are `landing.py`'s indexes and what `flatten.py` makes of call_stats, Call Attendance and participant
statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.exchange import Call, Stay
from pipeline.plan import Asked, Attendance, CallFacts, Listing, StayFacts, expected, since_report
from pipeline.windows import Window

__all__ = ["Known", "expected_windows", "known_of", "listings_of", "requests_of"]

_IDS = ("call_type", "call_id", "call_session_id", "user_id", "user_session_id")
_TOLD = ("started_at", "ended_at", "generated_at", "sessions", "most_publishers")
_INSTANT = pa.timestamp("us", tz="UTC")
_EXPECTED = pa.schema([*((name, pa.string()) for name in _IDS), ("since", _INSTANT), ("until", _INSTANT)])


@dataclass(frozen=True)
class Known:
    """Calls, who took part, and the stays, of one day. Stays are of calls that are known only."""

    calls: dict[Call, CallFacts]
    attendance: dict[Call, Attendance]
    stays: dict[Stay, StayFacts]


def known_of(
    sessions: pa.Table,
    attended: pa.Table,
    promised: pa.Table,
    index: pa.Table,
    statistics: pa.Table,
    statistics_index: pa.Table,
) -> Known:
    """What the rows of call_sessions, of Call Attendance and of participant statistics, and the indexes, say."""
    told = {_call(row): row for row in sessions.select([*_IDS[:3], *_TOLD]).to_pylist()}
    calls = {
        call: CallFacts(call, row["started_at"], row["ended_at"], row["generated_at"]) for call, row in told.items()
    }
    listings, statistics_listings = listings_of(index), listings_of(statistics_index)
    totals = {_call(row): row for row in promised.to_pylist()}
    forgotten = {call: totals[call]["forgotten"] if call in totals else 0 for call in calls}
    looked_at: dict[Call | None, Any] = {}
    for row in index.select([*_IDS[:3], "fetched_at", "error"]).to_pylist():
        if row["error"] is None:
            call = _call(row)
            looked_at[call] = max(row["fetched_at"], looked_at.get(call, row["fetched_at"]))
    there = {
        Stay(_call(row), row["user_id"], row["user_session_id"]): row
        for row in attended.select([*_IDS, "joined_at", "left_at"]).to_pylist()
        if _call(row) in calls
    }
    counted = {
        # Who may not be kept counts as one who published.
        call: None if row["most_publishers"] is None else row["most_publishers"] - forgotten[call]
        for call, row in told.items()
    }
    published = _published(calls, counted, there, statistics, statistics_listings)
    stays = {
        stay: StayFacts(
            stay, calls[stay.call], row["joined_at"], row["left_at"], looked_at[stay.call], published.get(stay)
        )
        for stay, row in there.items()
    }
    held = Counter(stay.call for stay in stays)
    # An empty list without a total, or with none, does not say that nobody was there: call_stats count too.
    promises = {
        call: (max(0, totals[call]["promised"] or 0) if call in totals else 0) or row["sessions"] or 0
        for call, row in told.items()
    }
    attendance = {
        call: Attendance(
            promises[call] - forgotten[call],
            held[call],
            tuple(listings.get(call, {}).values()),
            tuple(statistics_listings.get(call, {}).values()),
        )
        for call in calls
    }
    return Known(calls, attendance, stays)


def listings_of(index: pa.Table) -> dict[Call | None, dict[str, Listing]]:
    """The listings in an index, by call session (None for call_stats) and id, oldest first."""
    listings: dict[tuple[Call | None, str], Listing] = {}
    columns = [*_IDS[:3], "listing", "page", "fetched_at", "status", "error", "next_cursor"]
    # By page, for a clock that is set back meanwhile would mix them up.
    for row in sorted(index.select(columns).to_pylist(), key=lambda row: row["page"]):
        call = _call(row) if row["call_id"] is not None else None
        listing = listings.setdefault((call, row["listing"]), Listing(row["listing"], row["fetched_at"]))
        listing.stuck = row["error"] is not None
        listing.status = row["status"]
        if not listing.stuck:
            listing.pages += 1
            listing.next_cursor = row["next_cursor"]
    found: dict[Call | None, dict[str, Listing]] = {}
    for (call, name), listing in sorted(listings.items(), key=lambda item: item[1].began_at):
        found.setdefault(call, {})[name] = listing
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


def _published(
    calls: Mapping[Call, CallFacts],
    counted: Mapping[Call, int | None],
    there: Container[Stay],
    statistics: pa.Table,
    listings: Mapping[Call | None, Mapping[str, Listing]],
) -> dict[Stay, bool]:
    """Who published and who did not, of calls whose participant statistics were listed to the end since the report.

    A call is left out where they name fewer users who published than call_stats ever `counted`, or where there is no
    count: then they may not tell of everything. Only people whom Call Attendance names (`there`) are told of.
    """
    said: dict[Call, dict[Stay, bool]] = {}
    for row in statistics.select([*_IDS, "is_publisher", "listed_at"]).to_pylist():
        stay = Stay(_call(row), row["user_id"], row["user_session_id"])
        if stay not in there or row["is_publisher"] is None:
            continue
        settled_at = calls[stay.call].settled_at
        if settled_at is not None and row["listed_at"] >= settled_at:
            said.setdefault(stay.call, {})[stay] = row["is_publisher"]
    trusted: dict[Stay, bool] = {}
    for call, published in said.items():
        whole = any(listing.complete for listing in since_report(calls[call], listings.get(call, {}).values()))
        publishers = {stay.user_id for stay, publishes in published.items() if publishes}
        count = counted[call]
        if whole and count is not None and len(publishers) >= count:
            trusted |= published
    return trusted


def _call(row: dict[str, Any]) -> Call:
    return Call(row["call_type"], row["call_id"], row["call_session_id"])


def _ids(stay: Stay) -> tuple[str, ...]:
    return (stay.call.call_type, stay.call.call_id, stay.call.call_session_id, stay.user_id, stay.user_session_id)
