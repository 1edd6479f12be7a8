"""Many requests at a time: the pages of listings, and windows in order of urgency. Each response lands as it comes.

What to request is decided in `planning`; how one request is sent, retried and held back is in `client`; where responses
are kept is in `landing`. Here is only the traffic between them, in asyncio.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, NamedTuple, Protocol, TypeVar

from pipeline.endpoints import EndpointName
from pipeline.model import Request, Response, Stay, Window
from pipeline.planning.details import probes_of
from pipeline.planning.due import by_urgency, due_windows, expected_windows
from pipeline.planning.facts import Listing, StayFacts, WindowRequest, is_refusal

__all__ = ["Fetcher", "Progress", "Sink", "fetch_details", "fetch_listing", "fetch_windows", "for_each"]

T = TypeVar("T")

Sink = Callable[[Response], Awaitable[None]]
"""Where responses go; `LandingWriter.append` in production."""


class Fetcher(Protocol):
    """What fetches responses; `StreamApi` in production."""

    async def fetch(self, request: Request) -> Response: ...
    def now(self) -> datetime: ...
    def rate(self, endpoint: str) -> float | None: ...


@dataclass(frozen=True)
class Progress:
    """How far the fetching of a day is.

    Attributes:
        day: the day.
        unit: what is counted: call sessions that are listed, or windows.
        done: how many are finished.
        total: how many there are, as far as is known.
        rate: requests per second that the quota allows; None if unknown.
    """

    day: date
    unit: Literal["calls", "windows"]
    done: int
    total: int
    rate: float | None


async def for_each(items: Iterable[T], handle: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Handle every item in order, `workers` at a time. The first error ends everything and is raised."""
    queue: asyncio.Queue[T] = asyncio.Queue()
    for item in items:
        queue.put_nowait(item)
    await _drain(queue, handle, workers)


async def fetch_listing(fetcher: Fetcher, land: Sink, request: Request, resumed: Listing | None) -> list[Response]:
    """Fetch and land all pages of a listing, or the rest of one that was interrupted.

    Returns the responses with an error: none, or the one that ended the listing.
    """
    if resumed is None:
        stamp = fetcher.now().strftime("%Y%m%dT%H%M%S.%fZ")
        request = replace(request, listing=f"{stamp}-{secrets.token_hex(4)}", page=0, cursor=None)
    else:
        request = replace(request, listing=resumed.id, page=resumed.pages, cursor=resumed.next_cursor)
    first = request
    seen: set[str] = set()
    while True:
        response = await fetcher.fetch(request)
        if response.next_cursor in seen:
            response = replace(response, error="the pages of the listing form a circle", next_cursor=None)
        await land(response)
        if response.error is not None:
            if resumed is not None and request is first:  # the cursor has expired
                return await fetch_listing(fetcher, land, request, None)
            return [response]
        if response.next_cursor is None:
            return []
        seen.add(response.next_cursor)
        request = replace(request, page=request.page + 1, cursor=response.next_cursor)


async def fetch_windows(
    fetcher: Fetcher,
    land: Sink,
    day: date,
    stays: Mapping[Stay, StayFacts],
    requests: dict[Stay, list[WindowRequest]],
    *,
    workers: int,
    report: Callable[[Progress], None],
) -> list[Response]:
    """Fetch and land every window that is due, in the order in which their calls expire.

    `requests` are those made so far, by stay; the new ones are added. Returns the responses with an error.
    """
    plan = _WindowQueue(stays, requests)
    failures: list[Response] = []

    def report_progress() -> None:
        report(Progress(day, "windows", plan.done, plan.total, fetcher.rate("participant_metrics")))

    async def fetch(item: _QueuedWindow) -> None:
        response = await fetcher.fetch(Request("participant_metrics", day, stay=item.stay, window=item.window))
        await land(response)
        if response.error is not None:
            failures.append(response)
        plan.take_in(item, response)
        report_progress()

    if plan.total:
        report_progress()
        await _drain(plan.queue, fetch, workers)
    return failures


async def fetch_details(
    fetcher: Fetcher,
    land: Sink,
    endpoint: EndpointName,
    day: date,
    due: Sequence[tuple[Stay, Window]],
    *,
    probes: int | None,
    workers: int,
    report: Callable[[Progress], None],
) -> list[Response]:
    """Fetch and land windows of participant details or timelines, and return the responses with an error.

    With `probes`, the windows of that many stays go first, one by one. The others follow unless all those are refused.
    """
    failures: list[Response] = []
    done = 0

    async def fetch(item: tuple[Stay, Window]) -> None:
        nonlocal done
        stay, window = item
        response = await fetcher.fetch(Request(endpoint, day, stay=stay, window=window))
        await land(response)
        if response.error is not None:
            failures.append(response)
        done += 1
        report(Progress(day, "windows", done, len(due), fetcher.rate(endpoint)))

    tried = []
    for item in probes_of(due, probes) if probes is not None else ():
        await fetch(item)
        tried.append(item)
        if len(failures) < done or not is_refusal(failures[-1].status):
            break
    if probes is None or len(failures) < done or any(not is_refusal(failure.status) for failure in failures):
        await for_each([item for item in due if item not in tried], fetch, workers)
    return failures


class _QueuedWindow(NamedTuple):
    """A window in the queue; `rank` is the order of its stay."""

    rank: int
    window: Window
    stay: Stay


class _WindowQueue:
    """The windows that are due, by urgency, and how many there are.

    If a call has ended, the first window of each stay is fetched before the others. Its response says whether the user
    published anything, and so whether the other windows exist.
    """

    def __init__(self, stays: Mapping[Stay, StayFacts], requests: dict[Stay, list[WindowRequest]]) -> None:
        self._stays = stays
        self._requests = requests
        self._held_back: dict[Stay, int] = {}
        self.queue: asyncio.PriorityQueue[_QueuedWindow] = asyncio.PriorityQueue()
        self.total = 0
        self.done = 0
        for rank, stay in enumerate(by_urgency(stays)):
            facts = stays[stay]
            windows = due_windows(facts, requests.setdefault(stay, []))
            self.total += len(windows)
            if len(windows) > 1 and not facts.call.is_live and windows[0] == self._first(stay):
                self._held_back[stay] = len(windows) - 1
                windows = windows[:1]
            for window in windows:
                self.queue.put_nowait(_QueuedWindow(rank, window, stay))

    def take_in(self, item: _QueuedWindow, response: Response) -> None:
        """Take in the response for a window, and queue the windows of the stay that were held back for it."""
        rank, window, stay = item
        self._requests[stay].append(
            WindowRequest(window, response.fetched_at, response.status, response.error is None, response.publishes)
        )
        self.done += 1
        if stay in self._held_back:
            due = due_windows(self._stays[stay], self._requests[stay])
            rest = [other for other in due if other.since != window.since]
            self.total += len(rest) - self._held_back.pop(stay)
            for other in rest:
                self.queue.put_nowait(_QueuedWindow(rank, other, stay))

    def _first(self, stay: Stay) -> Window:
        return expected_windows(self._stays[stay], self._requests[stay])[0]


async def _drain(queue: asyncio.Queue[T], handle: Callable[[T], Awaitable[None]], workers: int) -> None:
    async def work() -> None:
        while True:
            item = await queue.get()
            await handle(item)
            queue.task_done()

    tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
    empty = asyncio.ensure_future(queue.join())
    try:
        done, _ = await asyncio.wait([empty, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (empty, *tasks):
            task.cancel()
        await asyncio.gather(empty, *tasks, return_exceptions=True)
