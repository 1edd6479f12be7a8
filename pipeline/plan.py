"""From what has landed to what should exist and what is still to be asked for. Pure functions over values.

The rules of windows are in `windows.py`; this module applies them to call sessions, stays and the answers so far.
`flow.py` carries the plan out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.exchange import Call, Stay
from pipeline.windows import Window, is_current, tile

__all__ = [
    "FORGETTING",
    "Asked",
    "Attendance",
    "CallFacts",
    "Listing",
    "StayFacts",
    "attendance_is_due",
    "by_urgency",
    "due",
    "expected",
    "forgotten_on",
    "is_listed",
    "since_report",
    "statistics_are_due",
    "unfinished",
]

FORGETTING = timedelta(days=90)
"""How long after a call session's end the source still lists who took part (Stream's documentation)."""

FURTHEST = timedelta(days=1)
"""How far beyond the last look a stay may seem to go: clocks differ, but nobody has left a year from now."""

RESUMABLE = timedelta(hours=1)
"""How old a listing may be at most to be gone on with, page by page, rather than begun anew."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call session; instants in UTC. `ended_at` is None while it is live."""

    call: Call
    started_at: datetime | None
    ended_at: datetime | None
    generated_at: datetime | None

    @property
    def settled_at(self) -> datetime | None:
        """From when on an answer is final: the session is over and its report made. None while it is live."""
        if self.ended_at is None:
            return None
        return max(self.ended_at, self.generated_at or self.ended_at)

    @property
    def urgency(self) -> tuple[datetime, Call]:
        """Sorts calls by when the source forgets them; live ones come last."""
        return self.ended_at or datetime.max.replace(tzinfo=UTC), self.call


@dataclass(frozen=True, slots=True)
class StayFacts:
    """What is known of a stay. `seen_at` is when Call Attendance last told of its call, by the source's clock.

    `published` is what participant statistics of the whole call say of the user; None where they say nothing for sure.
    """

    stay: Stay
    call: CallFacts
    joined_at: datetime | None
    left_at: datetime | None
    seen_at: datetime
    published: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a window and how it went. `usable` tells whether there is an answer to read."""

    window: Window
    fetched_at: datetime
    status: int | None
    usable: bool
    publishes: bool | None


@dataclass(slots=True)
class Listing:
    """The pages of one listing that have landed. `status` is the HTTP status of the newest answer, None without one."""

    id: str
    began_at: datetime
    pages: int = 0
    next_cursor: str | None = None
    stuck: bool = False
    status: int | None = None

    @property
    def complete(self) -> bool:
        return self.pages > 0 and self.next_cursor is None and not self.stuck

    @property
    def gone(self) -> bool:
        """Whether the source does not know what was asked for."""
        return self.status == 404

    @property
    def refused(self) -> bool:
        """Whether the source will not answer, now or later."""
        return self.status is not None and 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Attendance:
    """Of one call session: user sessions that the source promises and that we hold, and the listings so far.

    `statistics` are the listings of participant statistics.
    """

    promised: int = 0
    held: int = 0
    listings: Sequence[Listing] = field(default=())
    statistics: Sequence[Listing] = field(default=())


def expected(facts: StayFacts, asked: Iterable[Asked]) -> list[Window]:
    """The windows that should exist for a stay, in order.

    From `joined_at` (else the call's start) to `left_at` (unless that is before), else the call's end, else the moment
    of the last look. Someone who published nothing in a call that is over has none where participant statistics say so
    (but for a first one that was answered all the same), and else one: its answer says all that there is.
    """
    since = facts.joined_at or facts.call.started_at
    if since is None:
        return []
    left_at = facts.left_at if facts.left_at is not None and facts.left_at >= since else None
    until = min(left_at or facts.call.ended_at or facts.seen_at, facts.seen_at + FURTHEST)
    windows = tile(since, until)
    if facts.call.ended_at is None or (len(windows) == 1 and facts.published is not False):
        return windows
    answers = [request for request in asked if request.usable]
    if facts.published or any(request.publishes for request in answers):
        return windows
    first = [request for request in answers if request.window.since == since]
    if facts.published is False:
        return windows[:1] if first else []
    return windows[:1] if any(_is_final(facts.call, windows[0], request) for request in first) else windows


def due(facts: StayFacts, asked: Sequence[Asked]) -> list[Window]:
    """The expected windows that have no final answer yet; none where statistics say that there is nothing to tell."""
    if facts.published is False and not any(request.usable and request.publishes for request in asked):
        return []
    by_since: dict[datetime, list[Asked]] = {}
    for request in asked:
        by_since.setdefault(request.window.since, []).append(request)
    return [
        window
        for window in expected(facts, asked)
        if not any(_is_final(facts.call, window, request) for request in by_since.get(window.since, ()))
    ]


def attendance_is_due(call: CallFacts, attendance: Attendance, now: datetime) -> bool:
    """Whether Call Attendance is to be asked (again) about a call session.

    Not where it is listed for good and all that was promised is held, nor where the source answered 404 since, nor
    where it has forgotten and was asked since.
    """
    listings = _final_listings(call, attendance)
    edge = forgotten_on(call)
    return not any(
        listing.gone or attendance.held >= attendance.promised or (edge is not None and edge <= listing.began_at <= now)
        for listing in listings
    )


def is_listed(call: CallFacts, attendance: Attendance) -> bool:
    """Whether the source has told to the end, since the call's report, who took part."""
    return bool(_final_listings(call, attendance))


def statistics_are_due(call: CallFacts, attendance: Attendance) -> bool:
    """Whether participant statistics are to be asked for: of a settled call, until they came or were refused."""
    if call.settled_at is None:
        return False
    return not any(listing.complete or listing.refused for listing in since_report(call, attendance.statistics))


def unfinished(listings: Sequence[Listing], now: datetime, *, settled_at: datetime | None = None) -> Listing | None:
    """The listing to go on with, where the newest one was cut off a short while ago and not before `settled_at`."""
    if not listings:
        return None
    newest = max(listings, key=lambda listing: listing.began_at)
    cut_off = newest.pages > 0 and newest.next_cursor is not None and not newest.stuck
    fresh = now - newest.began_at <= RESUMABLE and (settled_at is None or newest.began_at >= settled_at)
    return newest if cut_off and fresh else None


def forgotten_on(call: CallFacts) -> datetime | None:
    """When the source forgets who took part; None while the call is live."""
    return call.ended_at + FORGETTING if call.ended_at else None


def by_urgency(facts: Mapping[Stay, StayFacts]) -> list[Stay]:
    """The stays whose call the source forgets first, first; live calls last."""
    return sorted(facts, key=lambda stay: (facts[stay].call.urgency, stay))


def since_report(call: CallFacts, listings: Iterable[Listing]) -> list[Listing]:
    """Those of the listings that were begun when the call was over and its report made; none while it is live."""
    settled_at = call.settled_at
    return [] if settled_at is None else [listing for listing in listings if listing.began_at >= settled_at]


def _final_listings(call: CallFacts, attendance: Attendance) -> list[Listing]:
    return [listing for listing in since_report(call, attendance.listings) if listing.complete or listing.gone]


def _is_final(call: CallFacts, window: Window, request: Asked) -> bool:
    if request.usable:
        return is_current(
            window,
            request.window,
            fetched_at=request.fetched_at,
            ended_at=call.ended_at,
            generated_at=call.generated_at,
        )
    # What the source did not know when the report was made, it will not learn.
    return request.status == 404 and call.settled_at is not None and request.fetched_at >= call.settled_at
