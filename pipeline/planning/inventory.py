"""What has landed of a day, as the values that the rules work on: its call sessions, stays, listings and requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.endpoints import LISTINGS, EndpointName
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.model import Call, Stay, Window
from pipeline.planning.due import listings_since_report
from pipeline.planning.facts import Attendance, CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.listings import ListingRows, group_listings, read_listings
from pipeline.schema import CALL_KEY, STAY_KEY

__all__ = ["DayInventory", "Inventories", "take_inventory", "window_requests"]

Listings = Mapping[Call | None, Mapping[str, Listing]]


@dataclass(frozen=True)
class DayInventory:
    """Call sessions of one day, who took part in them, and the stays. Only stays in a known call session are included.

    `rows` are the rows that it was taken from.
    """

    rows: ListingRows
    calls: dict[Call, CallFacts]
    attendance: dict[Call, Attendance]
    stays: dict[Stay, StayFacts]


class Inventories:
    """Takes the inventory of a day, and keeps the latest one until something lands or is rewritten.

    `temporary` is where DuckDB may store what does not fit in memory. Not for use by several threads.
    """

    def __init__(self, landing: Landing, temporary: Path) -> None:
        self._landing = landing
        self._temporary = temporary
        self._sql: BodySql | None = None  # one for all days: to open it takes as long as to read a small day
        self._kept: tuple[object, DayInventory] | None = None

    def close(self) -> None:
        """Free what DuckDB holds. The next inventory opens it again."""
        if self._sql is not None:
            self._sql.close()
            self._sql = None

    def of(self, day: date) -> DayInventory:
        """Return the inventory of a day. Raises `Quarantined` for a broken segment, and `FixStorage`."""
        # with versions, because erasing rewrites segments in place
        state = day, [[*self._landing.versions(name, day).items()] for name in LISTINGS]
        if self._kept is None or self._kept[0] != state:
            self._sql = self._sql or BodySql(self._temporary)
            self._kept = state, take_inventory(read_listings(self._landing, day, self._sql))
        return self._kept[1]

    def listings_of_calls(self, day: date) -> Sequence[Listing]:
        """Return the listings of the day's call sessions, oldest first."""
        return list(group_listings(self._landing.index("call_stats", day)).get(None, {}).values())

    def window_requests(self, day: date) -> dict[Stay, list[WindowRequest]]:
        """Return the requests for windows of the day, by stay."""
        return window_requests(self._landing.index("participant_metrics", day))

    def extra_requests(self, endpoint: EndpointName, day: date) -> dict[Stay, list[WindowRequest]]:
        """Return the requests for participant details, or for participant timelines, of the day, by stay."""
        return window_requests(self._landing.index(endpoint, day))


def take_inventory(rows: ListingRows) -> DayInventory:
    """Return the inventory of a day from the rows of its listings."""
    columns = [*CALL_KEY, "started_at", "ended_at", "generated_at", "sessions", "most_publishers", "rated_at"]
    sessions = {_call(row): row for row in rows.call_sessions.select(columns).to_pylist()}
    calls = {
        call: CallFacts(call, row["started_at"], row["ended_at"], row["generated_at"], row["rated_at"])
        for call, row in sessions.items()
    }
    totals = {_call(row): row for row in rows.totals.to_pylist()}
    erased = {call: totals[call]["erased"] if call in totals else 0 for call in calls}
    listings, stats_listings = group_listings(rows.participants_index), group_listings(rows.stats_index)
    ratings_listings = group_listings(rows.ratings_index)
    columns = [*STAY_KEY, "joined_at", "left_at"]
    people = {stay: row for row in rows.participants.select(columns).to_pylist() if (stay := _stay(row)).call in calls}
    # An erased person counts as one who published: call_stats still includes them.
    publishers = {
        call: None if row["most_publishers"] is None else row["most_publishers"] - erased[call]
        for call, row in sessions.items()
    }
    published = _published(rows.stats, people, calls, publishers, stats_listings)
    seen_at = _seen_at(rows.participants_index)
    stays = {
        stay: StayFacts(
            stay, calls[stay.call], row["joined_at"], row["left_at"], seen_at[stay.call], published.get(stay)
        )
        for stay, row in people.items()
    }
    held = Counter(stay.call for stay in stays)
    attendance = {
        call: Attendance(
            promised=_promised(sessions[call], totals.get(call)) - erased[call],
            held=held[call],
            listings=tuple(listings.get(call, {}).values()),
            stats_listings=tuple(stats_listings.get(call, {}).values()),
            ratings_listings=tuple(ratings_listings.get(call, {}).values()),
        )
        for call in calls
    }
    return DayInventory(rows, calls, attendance, stays)


def window_requests(index: pa.Table) -> dict[Stay, list[WindowRequest]]:
    """Return the requests for windows in an index of Participant Metrics, details or timelines, by stay."""
    requests: dict[Stay, list[WindowRequest]] = {}
    columns = [*STAY_KEY, "since", "until", "fetched_at", "status", "error", "publishes"]
    for row in index.select(columns).to_pylist():
        window = Window(row["since"], row["until"])
        requests.setdefault(_stay(row), []).append(
            WindowRequest(window, row["fetched_at"], row["status"], row["error"] is None, row["publishes"])
        )
    return requests


def _promised(session: Mapping[str, Any], total: Mapping[str, Any] | None) -> int:
    """Return how many stays the source counts: the total of Call Attendance, or of call_stats if that has none.

    An empty list with a total of zero does not mean that no one took part: call_stats counts them too.
    """
    listed = max(0, total["promised"] or 0) if total is not None else 0
    return int(listed or session["sessions"] or 0)


def _seen_at(index: pa.Table) -> dict[Call, datetime]:
    """Return when Call Attendance last listed each call session."""
    seen: dict[Call, datetime] = {}
    for row in index.select([*CALL_KEY, "fetched_at", "error"]).to_pylist():
        if row["error"] is None:
            call = _call(row)
            seen[call] = max(row["fetched_at"], seen.get(call, row["fetched_at"]))
    return seen


def _published(
    stats: pa.Table,
    people: Mapping[Stay, object],
    calls: Mapping[Call, CallFacts],
    publishers: Mapping[Call, int | None],
    listings: Listings,
) -> dict[Stay, bool]:
    """Return who published and who did not, for the calls whose participant statistics can be trusted.

    They must have been listed in full since the report. Skips calls whose statistics list fewer publishers than
    call_stats reported (or where it reported none): they may be incomplete. Only people in Call Attendance count.
    """
    by_call: dict[Call, dict[Stay, bool]] = {}
    for row in stats.select([*STAY_KEY, "is_publisher", "listed_at"]).to_pylist():
        stay = _stay(row)
        if stay not in people or row["is_publisher"] is None:
            continue
        settled_at = calls[stay.call].settled_at
        if settled_at is not None and row["listed_at"] >= settled_at:
            by_call.setdefault(stay.call, {})[stay] = row["is_publisher"]
    trusted: dict[Stay, bool] = {}
    for call, published in by_call.items():
        complete = any(
            listing.complete for listing in listings_since_report(calls[call], listings.get(call, {}).values())
        )
        counted = publishers[call]
        if complete and counted is not None and len({s.user_id for s, yes in published.items() if yes}) >= counted:
            trusted |= published
    return trusted


def _call(row: Mapping[str, Any]) -> Call:
    return Call(*(row[name] for name in CALL_KEY))


def _stay(row: Mapping[str, Any]) -> Stay:
    return Stay(_call(row), row["user_id"], row["user_session_id"])
