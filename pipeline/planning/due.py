"""Which windows should exist, and which windows and listings are still due. Pure functions over values.

How a stay is cut into windows is in `windows`. The plan is carried out in `extract`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.model import Stay, Window
from pipeline.planning.facts import Attendance, CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.windows import is_final, tile

__all__ = [
    "TRAILING_DAYS",
    "by_urgency",
    "due_windows",
    "expected_windows",
    "is_listed",
    "listings_since_report",
    "participants_are_due",
    "ratings_are_due",
    "resumable_listing",
    "stats_are_due",
    "stay_span",
]

MAX_CLOCK_DRIFT = timedelta(days=1)
"""How far a stay may extend beyond the time at which it was last listed. Clocks differ a little; a `left_at` further in
the future is wrong."""

LATE_RATINGS = timedelta(days=2)
"""How long after a call session's end its ratings are listed once more. A rating that comes late may leave the totals
in call_stats as they were. The schedule runs a day for the last time in its third night."""

TRAILING_DAYS = 3
"""How many days before today a nightly run takes again, complete or not: reports and ratings of them may come late."""

RESUMABLE_FOR = timedelta(hours=1)
"""Age up to which an interrupted listing is resumed page by page. An older one is started again."""


def stay_span(facts: StayFacts) -> tuple[datetime, datetime] | None:
    """Return from when to when a stay lasts, see `expected_windows`; None if it is not known when it begins."""
    since = facts.joined_at or facts.call.started_at
    if since is None:
        return None
    left_at = facts.left_at if facts.left_at is not None and facts.left_at >= since else None
    return since, min(left_at or facts.call.ended_at or facts.seen_at, facts.seen_at + MAX_CLOCK_DRIFT)


def expected_windows(facts: StayFacts, requests: Iterable[WindowRequest]) -> list[Window]:
    """Return the windows that should exist for a stay, in order.

    They start at `joined_at`, or else at the start of the call. They end at `left_at` unless that is before the start,
    or else at the end of the call, or else when the stay was last seen. They never extend more than `MAX_CLOCK_DRIFT`
    beyond that.

    A user who published nothing in a call that has ended needs fewer. If participant statistics say so, there is no
    window, except a first one that already has a response. If only the first window says so, that one is all.
    """
    span = stay_span(facts)
    if span is None:
        return []
    since, until = span
    windows = tile(since, until)
    if facts.call.is_live or (len(windows) == 1 and facts.published is not False):
        return windows
    responses = [request for request in requests if request.usable]
    if facts.published or any(request.publishes for request in responses):
        return windows
    first = [request for request in responses if request.window.since == since]
    if facts.published is False:
        return windows[:1] if first else []
    return windows[:1] if any(_is_final(facts.call, windows[0], request) for request in first) else windows


def due_windows(facts: StayFacts, requests: Sequence[WindowRequest]) -> list[Window]:
    """Return the expected windows without a final response, in order.

    None are due for a user who published nothing, according to participant statistics.
    """
    if facts.published is False and not any(request.usable and request.publishes for request in requests):
        return []
    by_since: dict[datetime, list[WindowRequest]] = {}
    for request in requests:
        by_since.setdefault(request.window.since, []).append(request)
    return [
        window
        for window in expected_windows(facts, requests)
        if not any(_is_final(facts.call, window, request) for request in by_since.get(window.since, ()))
    ]


def participants_are_due(call: CallFacts, attendance: Attendance, now: datetime) -> bool:
    """Return whether Call Attendance must be listed (again) for a call session.

    It need not be if, since the report, it was listed in full and all promised stays have landed, or the source
    responded with 404, or it was listed after it expired.
    """
    return not any(
        listing.gone
        or attendance.held >= attendance.promised
        or (call.expires_at is not None and call.expires_at <= listing.began_at <= now)
        for listing in _final_listings(call, attendance)
    )


def is_listed(call: CallFacts, attendance: Attendance) -> bool:
    """Return whether Call Attendance was listed in full (or is gone) since the report of the call session."""
    return bool(_final_listings(call, attendance))


def stats_are_due(call: CallFacts, attendance: Attendance) -> bool:
    """Return whether participant statistics must be listed: for a settled call, until they landed or were refused."""
    if call.is_live:
        return False
    return not any(
        listing.complete or listing.refused for listing in listings_since_report(call, attendance.stats_listings)
    )


def ratings_are_due(call: CallFacts, attendance: Attendance, now: datetime) -> bool:
    """Return whether user feedback must be listed: for a settled call session of which call_stats report ratings.

    It must be listed in full since the report, since call_stats reported these ratings, and, once `LATE_RATINGS` have
    passed, since then. It need not be if the source said 403 or 404 instead.
    """
    if call.settled_at is None or call.ended_at is None or call.rated_at is None:
        return False
    since = max(call.settled_at, call.rated_at)
    if call.ended_at + LATE_RATINGS <= now:
        since = max(since, call.ended_at + LATE_RATINGS)
    return not any(
        listing.began_at >= since and (listing.complete or listing.unavailable)
        for listing in attendance.ratings_listings
    )


def resumable_listing(
    listings: Sequence[Listing], now: datetime, *, settled_at: datetime | None = None
) -> Listing | None:
    """Return the newest listing if it was interrupted less than an hour ago and began after `settled_at`, else None."""
    if not listings:
        return None
    newest = max(listings, key=lambda listing: listing.began_at)
    fresh = now - newest.began_at <= RESUMABLE_FOR and (settled_at is None or newest.began_at >= settled_at)
    return newest if newest.interrupted and fresh else None


def by_urgency(facts: Mapping[Stay, StayFacts]) -> list[Stay]:
    """Return the stays in the order in which their calls expire, live calls last."""
    return sorted(facts, key=lambda stay: (facts[stay].call.urgency, stay))


def listings_since_report(call: CallFacts, listings: Iterable[Listing]) -> list[Listing]:
    """Return the listings that began after the call had ended and its report was made; none while it is live."""
    settled_at = call.settled_at
    return [] if settled_at is None else [listing for listing in listings if listing.began_at >= settled_at]


def _final_listings(call: CallFacts, attendance: Attendance) -> list[Listing]:
    return [listing for listing in listings_since_report(call, attendance.listings) if listing.complete or listing.gone]


def _is_final(call: CallFacts, window: Window, request: WindowRequest) -> bool:
    if request.usable:
        return is_final(
            window,
            request.window,
            fetched_at=request.fetched_at,
            ended_at=call.ended_at,
            generated_at=call.generated_at,
        )
    # If the source did not know it when the report was made, it never will.
    return request.status == 404 and call.settled_at is not None and request.fetched_at >= call.settled_at
