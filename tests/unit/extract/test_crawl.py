"""Many requests at a time: listings to their last page, windows in order of urgency, and how it all ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FixCredentials, FixStorage
from pipeline.extract.crawl import Progress, fetch_listing, fetch_windows, for_each
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.planning.due import due_windows
from pipeline.planning.facts import CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.windows import tile
from tests.support import CALL, DAY, at, examples, simulate

NOW = at(20)
LISTING = Request("participant_sessions", DAY, call=CALL)


class Source:
    """A source that takes its responses from a function, in simulated time, and records requests."""

    def __init__(self, reply: Callable[[Request], Response], *, seconds: float = 1.0) -> None:
        self.requests: list[Request] = []
        self.landed: list[Response] = []
        self.in_flight = self.most_in_flight = 0
        self._reply = reply
        self._seconds = seconds

    async def fetch(self, request: Request) -> Response:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._seconds)
            return self._reply(request)
        finally:
            self.in_flight -= 1

    async def land(self, response: Response) -> None:
        self.landed.append(response)

    def now(self) -> datetime:
        return NOW

    def rate(self, endpoint: str) -> float | None:
        return 5.0 if endpoint == "participant_metrics" else None


def ok(request: Request, next_cursor: str | None = None, *, publishes: bool | None = None) -> Response:
    """Return a usable response."""
    return Response(request, 200, "{}", 1, NOW, next_cursor=next_cursor, publishes=publishes)


def failed(request: Request, status: int = 500) -> Response:
    """Return a response that is not usable."""
    return Response(request, status, "", 6, NOW, error=f"HTTP {status}")


# Listings.


def pages(*cursors: str | None) -> Callable[[Request], Response]:
    """Return a function that returns pages by the cursor that they start at; each names the next one."""
    next_cursor = dict(zip([None, *cursors], [*cursors, None], strict=True))
    return lambda request: ok(request, next_cursor[request.cursor])


def list_all(source: Source, resumed: Listing | None = None) -> list[Response]:
    """Fetch and land a listing, and return the responses with an error."""
    return simulate(fetch_listing(source, source.land, LISTING, resumed))


def test_listing_is_fetched_to_its_last_page() -> None:
    """Each page lands as soon as it arrives, under one id."""
    source = Source(pages("b", "c"))
    assert list_all(source) == []
    assert [(request.page, request.cursor) for request in source.requests] == [(0, None), (1, "b"), (2, "c")]
    assert [response.request for response in source.landed] == source.requests
    assert len({request.listing for request in source.requests}) == 1
    assert all(replace(request, listing=None, page=0, cursor=None) == LISTING for request in source.requests)


def test_listings_have_different_ids() -> None:
    """Two listings of the same call at the same time differ in their ids."""
    ids = set()
    for _ in range(20):
        source = Source(pages())
        list_all(source)
        ids.add(source.requests[0].listing)
    assert len(ids) == 20


def test_interrupted_listing_resumes_where_it_stopped() -> None:
    """The missing pages are fetched under the id of the listing."""
    source = Source(pages("b", "c"))
    assert list_all(source, Listing("l1", at(19), pages=1, next_cursor="b")) == []
    assert [(one.listing, one.page, one.cursor) for one in source.requests] == [("l1", 1, "b"), ("l1", 2, "c")]


def test_interrupted_listing_starts_again_if_its_cursor_has_expired() -> None:
    """The refusal lands, and is not a failure if the new listing succeeds."""
    source = Source(lambda request: failed(request, 400) if request.cursor == "old" else ok(request))
    assert list_all(source, Listing("l1", at(19), pages=3, next_cursor="old")) == []
    first, second = source.requests
    assert (first.listing, first.page, first.cursor) == ("l1", 3, "old")
    assert second.listing != "l1"
    assert (second.page, second.cursor) == (0, None)
    assert [response.error for response in source.landed] == ["HTTP 400", None]


def test_listing_ends_at_the_first_failure() -> None:
    """The failure is landed and returned, and earlier pages are kept."""
    source = Source(lambda request: failed(request) if request.page == 1 else ok(request, "b"))
    (failure,) = list_all(source)
    assert (failure.request.page, failure.error) == (1, "HTTP 500")
    assert source.landed[-1] == failure
    assert len(source.requests) == 2


def test_interrupted_listing_does_not_start_again_after_a_later_failure() -> None:
    """Only the stored cursor can have expired, so there is no endless loop."""
    source = Source(lambda request: ok(request, "c") if request.cursor == "b" else failed(request))
    (failure,) = list_all(source, Listing("l1", at(19), pages=1, next_cursor="b"))
    assert failure.request.cursor == "c"
    source = Source(failed)
    (failure,) = list_all(source, Listing("l1", at(19), pages=1, next_cursor="b"))
    assert len(source.requests) == 2


@given(st.integers(1, 6), st.integers(0, 5))
@examples(30)
def test_listing_whose_pages_form_a_circle_is_stopped(length: int, back_to: int) -> None:
    """Each page is requested once, however long the circle is, and the end is a failure that lands."""
    cursors = [f"c{number}" for number in range(length)]
    next_cursor = {None: cursors[0], **dict(zip(cursors, [*cursors[1:], cursors[back_to % length]], strict=True))}
    source = Source(lambda request: ok(request, next_cursor[request.cursor]))
    (failure,) = list_all(source)
    assert failure.error == "the pages of the listing form a circle"
    assert failure.next_cursor is None
    assert source.landed[-1] == failure
    assert max(Counter(request.cursor for request in source.requests).values()) == 1
    assert len(source.requests) == length + 1


# Windows.


def stay(user: str, hours: float = 1, *, call: str = "standup", ended: int | None = 12, seen: int = 13) -> StayFacts:
    """Return a stay from ten o'clock on, in a call that ended at an hour (None: it is live)."""
    facts = CallFacts(
        Call("default", call, "s1"), at(10), None if ended is None else at(ended), None if ended is None else at(ended)
    )
    return StayFacts(Stay(facts.call, user, "1"), facts, at(10), at(10) + timedelta(hours=hours), at(seen))


def fetch_all(
    source: Source,
    *stays: StayFacts,
    requests: dict[Stay, list[WindowRequest]] | None = None,
    workers: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> list[Response]:
    """Fetch and land the windows of stays, and return the responses with an error."""
    facts = {one.stay: one for one in stays}
    requests = {} if requests is None else requests
    return simulate(fetch_windows(source, source.land, DAY, facts, requests, workers=workers, report=report))


def windows_requested(source: Source) -> list[tuple[str, str, int]]:
    """Return (call, user, minutes from ten o'clock) of every window requested, in order."""
    return [
        (request.stay.call.call_id, request.stay.user_id, (request.window.since - at(10)) // timedelta(minutes=1))
        for request in source.requests
        if request.stay and request.window
    ]


def publishing(request: Request) -> Response:
    """Return a response with tracks."""
    return ok(request, publishes=True)


def silent(request: Request) -> Response:
    """Return a response without tracks."""
    return ok(request, publishes=False)


def test_due_windows_are_fetched_and_landed_once() -> None:
    """The outcome of each request is added to the requests so far."""
    source, requests = Source(publishing), {}
    stays = [stay("ann", 1), stay("bob", 0.7), stay("eve", 0)]
    assert fetch_all(source, *stays, requests=requests, workers=4) == []
    assert sorted(windows_requested(source)) == [
        ("standup", "ann", 0),
        ("standup", "ann", 30),
        ("standup", "bob", 0),
        ("standup", "bob", 30),
        ("standup", "eve", 0),
    ]
    assert len(source.landed) == 5
    assert all(due_windows(one, requests[one.stay]) == [] for one in stays)


def test_windows_are_fetched_in_the_order_in_which_calls_expire() -> None:
    """Calls that ended first come first, live ones last, and windows of a stay are in order of time."""
    source = Source(publishing)
    fetch_all(
        source,
        stay("ann", 1, call="live", ended=None),
        stay("ann", 1, call="late", ended=14),
        stay("bob", 1, call="early", ended=12),
        stay("ann", 1, call="early", ended=12),
    )
    assert windows_requested(source) == [
        ("early", "ann", 0),
        ("early", "ann", 30),
        ("early", "bob", 0),
        ("early", "bob", 30),
        ("late", "ann", 0),
        ("late", "ann", 30),
        ("live", "ann", 0),
        ("live", "ann", 30),
    ]


def test_stay_without_tracks_costs_one_request() -> None:
    """The first response says so before any other window of the stay is requested, with any number of workers."""
    source = Source(
        lambda request: silent(request) if request.stay and request.stay.user_id == "bob" else publishing(request)
    )
    fetch_all(source, stay("ann", 2), stay("bob", 2), workers=16)
    assert Counter(user for _, user, _ in windows_requested(source)) == {"ann": 4, "bob": 1}


def test_windows_of_a_live_call_are_all_fetched_at_once() -> None:
    """A user who has published nothing so far may still publish."""
    source = Source(silent)
    fetch_all(source, stay("ann", 2, ended=None), workers=16)
    assert len(source.requests) == source.most_in_flight == 4


def test_windows_after_a_failed_first_one_are_fetched() -> None:
    """It is not known whether the user published anything, so all windows are requested."""
    source = Source(
        lambda request: failed(request) if request.window and request.window.since == at(10) else publishing(request)
    )
    (failure,) = fetch_all(source, stay("ann", 2))
    assert failure.request.window == Window(at(10), at(10, 30))
    assert [minutes for *_, minutes in windows_requested(source)] == [0, 30, 60, 90]


def test_failed_windows_are_returned_and_do_not_stop_the_others() -> None:
    """All failures are landed and returned."""
    source = Source(
        lambda request: failed(request) if request.window and request.window.since.minute == 30 else publishing(request)
    )
    stays = [stay(f"user-{number}", 2) for number in range(5)]
    failures = fetch_all(source, *stays, workers=3)
    assert len(source.landed) == 20
    assert failures == [response for response in source.landed if response.error]


def test_windows_with_a_final_response_are_not_fetched() -> None:
    """If the first window is one of them, the others are fetched at once."""
    windows = tile(at(10), at(12))
    ann = stay("ann", 2)
    done = [WindowRequest(window, NOW, 200, True, True) for window in (windows[0], windows[2])]
    source = Source(publishing)
    fetch_all(source, ann, requests={ann.stay: done}, workers=16)
    assert [minutes for *_, minutes in windows_requested(source)] == [30, 90]
    assert source.most_in_flight == 2
    assert fetch_all(Source(publishing), ann, requests={ann.stay: done}) == []


def test_nothing_due_sends_no_request_and_no_progress() -> None:
    """A second run requests nothing and reports nothing."""
    source, reported = Source(publishing), []
    fetch_all(source, report=reported.append)
    assert source.requests == reported == []


def test_workers_bound_the_requests_in_flight() -> None:
    """There are as many requests in flight as workers while there is work."""
    source = Source(publishing)
    fetch_all(source, *(stay(f"user-{number}", 1) for number in range(20)), workers=7)
    assert source.most_in_flight == 7


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.none() | st.integers(11, 14)), min_size=1, max_size=8),
    st.integers(1, 8),
    st.integers(0, 3),
)
@examples(60)
def test_progress_starts_at_zero_and_ends_at_its_total(
    people: list[tuple[float, bool, int | None]], workers: int, failing: int
) -> None:
    """Progress never goes back and never exceeds its total."""
    stays = [
        stay(f"user-{number}", hours, call=f"call-{number}", ended=ended, seen=16)
        for number, (hours, _, ended) in enumerate(people)
    ]
    publishers = {one.stay for one, (_, publishes, _) in zip(stays, people, strict=True) if publishes}

    def reply(request: Request) -> Response:
        if failing and request.window and (request.window.since.minute + len(source.requests)) % 4 < failing:
            return failed(request)
        return ok(request, publishes=request.stay in publishers)

    source = Source(reply)
    reported: list[Progress] = []
    fetch_all(source, *stays, workers=workers, report=reported.append)
    assert reported[0].done == 0
    assert (reported[-1].done, reported[-1].total) == (len(source.requests), len(source.requests))
    assert [one.done for one in reported] == list(range(len(source.requests) + 1))
    assert all(one.done <= one.total for one in reported)
    assert {(one.day, one.rate) for one in reported} == {(DAY, 5.0)}


def test_full_disk_stops_all_requests() -> None:
    """What cannot land is not fetched."""
    source = Source(publishing)

    async def land(response: Response) -> None:
        raise FixStorage("full")

    facts = {one.stay: one for one in (stay(f"user-{number}") for number in range(50))}
    with pytest.raises(FixStorage):
        simulate(fetch_windows(source, land, DAY, facts, {}, workers=4, report=lambda _: None))
    assert len(source.requests) <= 8
    assert source.in_flight == 0


# Items in parallel.


def test_items_are_handled_once_and_in_order() -> None:
    """At most the given number is handled at a time."""
    started: list[int] = []
    busy = most = 0

    async def handle(item: int) -> None:
        nonlocal busy, most
        started.append(item)
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(1 + item % 3)
        busy -= 1

    simulate(for_each(range(20), handle, 4))
    assert started == list(range(20))
    assert most == 4


def test_no_items_end_at_once() -> None:
    """No worker waits for an item that never comes."""

    async def handle(_: int) -> None:
        raise AssertionError

    simulate(for_each([], handle, 4))


def test_first_error_cancels_all_items_and_is_raised() -> None:
    """Items in progress are cancelled, and later ones never start."""
    started: list[int] = []
    cancelled: list[int] = []

    async def handle(item: int) -> None:
        started.append(item)
        try:
            await asyncio.sleep(1 if item == 2 else 100)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        raise FixCredentials("no")

    with pytest.raises(FixCredentials):
        simulate(for_each(range(100), handle, 4))
    assert started == [0, 1, 2, 3]
    assert sorted(cancelled) == [0, 1, 3]


def test_cancellation_cancels_all_items() -> None:
    """Nothing keeps running."""
    cancelled: list[int] = []

    async def handle(item: int) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    async def main() -> int:
        task = asyncio.ensure_future(for_each(range(9), handle, 3))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert simulate(main()) == 1
    assert sorted(cancelled) == [0, 1, 2]
