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

from pipeline.errors import FixCredentials, FixStorage, Interrupted
from pipeline.extract.crawl import Progress, fetch_listing, fetch_windows, for_each
from pipeline.extract.event_loop import EventLoop
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.planning.due import due_windows
from pipeline.planning.facts import CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.windows import tile
from tests.support import CALL, DAY, at, examples, simulate

NOW = at(20)
LISTING = Request("participant_sessions", DAY, call=CALL)


class Source:
    """Answers requests from a function, in simulated time, and writes down what it was asked."""

    def __init__(self, reply: Callable[[Request], Response], *, seconds: float = 1.0) -> None:
        self.asked: list[Request] = []
        self.landed: list[Response] = []
        self.in_flight = self.most_in_flight = 0
        self._reply = reply
        self._seconds = seconds

    async def fetch(self, request: Request) -> Response:
        self.asked.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._seconds)
            return self._reply(request)
        finally:
            self.in_flight -= 1

    async def land(self, answer: Response) -> None:
        self.landed.append(answer)

    def now(self) -> datetime:
        return NOW

    def rate(self, endpoint: str) -> float | None:
        return 5.0 if endpoint == "participant_metrics" else None


def ok(request: Request, next_cursor: str | None = None, *, publishes: bool | None = None) -> Response:
    return Response(request, 200, "{}", 1, NOW, next_cursor=next_cursor, publishes=publishes)


def wrong(request: Request, status: int = 500) -> Response:
    return Response(request, status, "", 6, NOW, error=f"HTTP {status}")


# Listings.


def pages(*cursors: str | None) -> Callable[[Request], Response]:
    """Pages by the cursor that they begin at: for_each names the next one."""
    following = dict(zip([None, *cursors], [*cursors, None], strict=True))
    return lambda request: ok(request, following[request.cursor])


def list_all(source: Source, going_on: Listing | None = None) -> list[Response]:
    return simulate(fetch_listing(source, source.land, LISTING, going_on))


def test_a_listing_is_fetched_to_its_last_page() -> None:
    """Page after page under one id, for_each landed as it comes."""
    source = Source(pages("b", "c"))
    assert list_all(source) == []
    assert [(request.page, request.cursor) for request in source.asked] == [(0, None), (1, "b"), (2, "c")]
    assert [answer.request for answer in source.landed] == source.asked
    assert len({request.listing for request in source.asked}) == 1
    assert all(replace(request, listing=None, page=0, cursor=None) == LISTING for request in source.asked)


def test_listings_have_ids_of_their_own() -> None:
    """Two of the same call at the same time can be told apart."""
    ids = set()
    for _ in range(20):
        source = Source(pages())
        list_all(source)
        ids.add(source.asked[0].listing)
    assert len(ids) == 20


def test_a_listing_that_was_cut_off_goes_on_where_it_stopped() -> None:
    """Under its own id, with the pages that are missing."""
    source = Source(pages("b", "c"))
    assert list_all(source, Listing("l1", at(19), pages=1, next_cursor="b")) == []
    assert [(one.listing, one.page, one.cursor) for one in source.asked] == [("l1", 1, "b"), ("l1", 2, "c")]


def test_a_cursor_that_has_expired_begins_the_listing_anew() -> None:
    """The refusal lands, and is no failure where the new listing goes well."""
    source = Source(lambda request: wrong(request, 400) if request.cursor == "old" else ok(request))
    assert list_all(source, Listing("l1", at(19), pages=3, next_cursor="old")) == []
    first, second = source.asked
    assert (first.listing, first.page, first.cursor) == ("l1", 3, "old")
    assert second.listing != "l1"
    assert (second.page, second.cursor) == (0, None)
    assert [answer.error for answer in source.landed] == ["HTTP 400", None]


def test_a_listing_ends_at_the_first_failure() -> None:
    """It is landed and returned: what came before is kept, what would come after cannot be asked for."""
    source = Source(lambda request: wrong(request) if request.page == 1 else ok(request, "b"))
    (failure,) = list_all(source)
    assert (failure.request.page, failure.error) == (1, "HTTP 500")
    assert source.landed[-1] == failure
    assert len(source.asked) == 2


def test_a_later_page_that_fails_does_not_begin_a_resumed_listing_anew() -> None:
    """Only the cursor that was kept can have expired; anything else is a failure, and there is no endless loop."""
    source = Source(lambda request: ok(request, "c") if request.cursor == "b" else wrong(request))
    (failure,) = list_all(source, Listing("l1", at(19), pages=1, next_cursor="b"))
    assert failure.request.cursor == "c"
    source = Source(wrong)
    (failure,) = list_all(source, Listing("l1", at(19), pages=1, next_cursor="b"))
    assert len(source.asked) == 2


@given(st.integers(1, 6), st.integers(0, 5))
@examples(30)
def test_a_listing_that_goes_in_circles_is_stopped(length: int, back_to: int) -> None:
    """However long the circle: for_each page is asked for once, and the end is a failure that is landed."""
    cursors = [f"c{number}" for number in range(length)]
    following = {None: cursors[0], **dict(zip(cursors, [*cursors[1:], cursors[back_to % length]], strict=True))}
    source = Source(lambda request: ok(request, following[request.cursor]))
    (failure,) = list_all(source)
    assert failure.error == "the pages of the listing form a circle"
    assert failure.next_cursor is None
    assert source.landed[-1] == failure
    assert max(Counter(request.cursor for request in source.asked).values()) == 1
    assert len(source.asked) == length + 1


# Windows.


def stay(user: str, hours: float = 1, *, call: str = "standup", ended: int | None = 12, seen: int = 13) -> StayFacts:
    """A stay from ten o'clock on in a call that ended at an hour (None: goes on)."""
    facts = CallFacts(
        Call("default", call, "s1"), at(10), None if ended is None else at(ended), None if ended is None else at(ended)
    )
    return StayFacts(Stay(facts.call, user, "1"), facts, at(10), at(10) + timedelta(hours=hours), at(seen))


def fetch_all(
    source: Source,
    *stays: StayFacts,
    asked: dict[Stay, list[WindowRequest]] | None = None,
    workers: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> list[Response]:
    facts = {one.stay: one for one in stays}
    so_far = {} if asked is None else asked
    return simulate(fetch_windows(source, source.land, DAY, facts, so_far, workers=workers, report=report))


def asked_for(source: Source) -> list[tuple[str, str, int]]:
    """(Call, user, minutes from ten o'clock) of all windows asked for, in order."""
    return [
        (request.stay.call.call_id, request.stay.user_id, (request.window.since - at(10)) // timedelta(minutes=1))
        for request in source.asked
        if request.stay and request.window
    ]


def publishing(request: Request) -> Response:
    return ok(request, publishes=True)


def silent(request: Request) -> Response:
    return ok(request, publishes=False)


def test_every_window_that_is_due_is_fetched_and_landed_once() -> None:
    """Of all stays, and what came of it is added to what was asked."""
    source, asked = Source(publishing), {}
    stays = [stay("ann", 1), stay("bob", 0.7), stay("eve", 0)]
    assert fetch_all(source, *stays, asked=asked, workers=4) == []
    assert sorted(asked_for(source)) == [
        ("standup", "ann", 0),
        ("standup", "ann", 30),
        ("standup", "bob", 0),
        ("standup", "bob", 30),
        ("standup", "eve", 0),
    ]
    assert len(source.landed) == 5
    assert all(due_windows(one, asked[one.stay]) == [] for one in stays)


def test_what_the_source_forgets_first_is_asked_for_first() -> None:
    """Calls that ended first lead, and live ones come last; within a stay in order of time."""
    source = Source(publishing)
    fetch_all(
        source,
        stay("ann", 1, call="live", ended=None),
        stay("ann", 1, call="late", ended=14),
        stay("bob", 1, call="early", ended=12),
        stay("ann", 1, call="early", ended=12),
    )
    assert asked_for(source) == [
        ("early", "ann", 0),
        ("early", "ann", 30),
        ("early", "bob", 0),
        ("early", "bob", 30),
        ("late", "ann", 0),
        ("late", "ann", 30),
        ("live", "ann", 0),
        ("live", "ann", 30),
    ]


def test_who_published_nothing_is_asked_about_once() -> None:
    """The first answer says so, before any other window of the stay is asked for, however many workers there are."""
    source = Source(
        lambda request: silent(request) if request.stay and request.stay.user_id == "bob" else publishing(request)
    )
    fetch_all(source, stay("ann", 2), stay("bob", 2), workers=16)
    assert Counter(user for _, user, _ in asked_for(source)) == {"ann": 4, "bob": 1}


def test_in_a_live_call_all_windows_go_at_once() -> None:
    """Who published nothing so far may still publish."""
    source = Source(silent)
    fetch_all(source, stay("ann", 2, ended=None), workers=16)
    assert len(source.asked) == source.most_in_flight == 4


def test_a_first_window_that_fails_does_not_stop_the_others() -> None:
    """Whether anything was published is not known, so all windows are asked for."""
    source = Source(
        lambda request: wrong(request) if request.window and request.window.since == at(10) else publishing(request)
    )
    (failure,) = fetch_all(source, stay("ann", 2))
    assert failure.request.window == Window(at(10), at(10, 30))
    assert [minutes for *_, minutes in asked_for(source)] == [0, 30, 60, 90]


def test_failures_are_values() -> None:
    """All of them are returned, and landed, and the rest goes on."""
    source = Source(
        lambda request: wrong(request) if request.window and request.window.since.minute == 30 else publishing(request)
    )
    stays = [stay(f"user-{number}", 2) for number in range(5)]
    failures = fetch_all(source, *stays, workers=3)
    assert len(source.landed) == 20
    assert failures == [answer for answer in source.landed if answer.error]


def test_only_what_is_due_is_asked_for() -> None:
    """Windows with a final answer are left alone; where the first one is among them the others go at once."""
    windows = tile(at(10), at(12))
    ann = stay("ann", 2)
    done = [WindowRequest(window, NOW, 200, True, True) for window in (windows[0], windows[2])]
    source = Source(publishing)
    fetch_all(source, ann, asked={ann.stay: done}, workers=16)
    assert [minutes for *_, minutes in asked_for(source)] == [30, 90]
    assert source.most_in_flight == 2
    assert fetch_all(Source(publishing), ann, asked={ann.stay: done}) == []


def test_nothing_due_asks_nothing_and_reports_nothing() -> None:
    """A second run is silent."""
    source, told = Source(publishing), []
    fetch_all(source, report=told.append)
    assert source.asked == told == []


def test_no_more_requests_are_in_flight_than_workers() -> None:
    """And as many as there are, while there is work."""
    source = Source(publishing)
    fetch_all(source, *(stay(f"user-{number}", 1) for number in range(20)), workers=7)
    assert source.most_in_flight == 7


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.none() | st.integers(11, 14)), min_size=1, max_size=8),
    st.integers(1, 8),
    st.integers(0, 3),
)
@examples(60)
def test_progress_ends_where_all_is_done(
    people: list[tuple[float, bool, int | None]], workers: int, failing: int
) -> None:
    """It begins at nothing, never goes back, never beyond its total, and ends with done equal to total."""
    stays = [
        stay(f"user-{number}", hours, call=f"call-{number}", ended=ended, seen=16)
        for number, (hours, _, ended) in enumerate(people)
    ]
    talkers = {one.stay for one, (_, talks, _) in zip(stays, people, strict=True) if talks}

    def reply(request: Request) -> Response:
        if failing and request.window and (request.window.since.minute + len(source.asked)) % 4 < failing:
            return wrong(request)
        return ok(request, publishes=request.stay in talkers)

    source = Source(reply)
    told: list[Progress] = []
    fetch_all(source, *stays, workers=workers, report=told.append)
    assert told[0].done == 0
    assert (told[-1].done, told[-1].total) == (len(source.asked), len(source.asked))
    assert [one.done for one in told] == list(range(len(source.asked) + 1))
    assert all(one.done <= one.total for one in told)
    assert {(one.day, one.rate) for one in told} == {(DAY, 5.0)}


def test_a_disk_that_is_full_stops_everything() -> None:
    """What cannot be landed need not be fetched."""
    source = Source(publishing)

    async def land(answer: Response) -> None:
        raise FixStorage("full")

    facts = {one.stay: one for one in (stay(f"user-{number}") for number in range(50))}
    with pytest.raises(FixStorage):
        simulate(fetch_windows(source, land, DAY, facts, {}, workers=4, report=lambda _: None))
    assert len(source.asked) <= 8
    assert source.in_flight == 0


# All of it, or nothing more.


def test_each_item_is_handled_once_and_in_order() -> None:
    """So many at a time."""
    begun: list[int] = []
    busy = most = 0

    async def handle(item: int) -> None:
        nonlocal busy, most
        begun.append(item)
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(1 + item % 3)
        busy -= 1

    simulate(for_each(range(20), handle, 4))
    assert begun == list(range(20))
    assert most == 4


def test_nothing_to_handle_is_done_at_once() -> None:
    """No workers wait for what never comes."""

    async def handle(_: int) -> None:
        raise AssertionError

    simulate(for_each([], handle, 4))


def test_the_first_error_ends_all_and_is_raised() -> None:
    """Those under way are cancelled, those to come never begin."""
    begun: list[int] = []
    cancelled: list[int] = []

    async def handle(item: int) -> None:
        begun.append(item)
        try:
            await asyncio.sleep(1 if item == 2 else 100)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        raise FixCredentials("no")

    with pytest.raises(FixCredentials):
        simulate(for_each(range(100), handle, 4))
    assert begun == [0, 1, 2, 3]
    assert sorted(cancelled) == [0, 1, 3]


def test_a_cancellation_ends_all() -> None:
    """Nothing is left running behind."""
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


# The loop of a process.


def test_the_loop_outlives_a_run() -> None:
    """What one run made can be used by the next, as connections are; closing it ends what still waits."""
    loop = EventLoop()
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("waiter")

    async def begin() -> asyncio.Task[None]:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        return task

    async def look(task: asyncio.Task[None]) -> bool:
        return task.done()

    task = loop.run(begin())
    assert loop.run(look(task)) is False
    loop.close()
    assert ended == ["waiter"]


def test_errors_of_a_run_are_raised_and_the_loop_goes_on() -> None:
    """As they are; a cancellation is an interruption."""
    loop = EventLoop()

    async def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(FixStorage):
        loop.run(fail(FixStorage("full")))
    with pytest.raises(Interrupted):
        loop.run(fail(asyncio.CancelledError()))
    assert loop.run(_seven()) == 7
    loop.close()


async def _seven() -> int:
    return 7
