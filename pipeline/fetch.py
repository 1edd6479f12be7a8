"""Many requests at a time: the pages of listings, and windows in order of urgency, each answer landed as it comes.

What to ask for is decided in `plan.py`; how one request is sent, retried and held back, in `api.py`; where answers are
kept, in `landing.py`. Here is only the traffic between them, in asyncio, and how it ends when someone stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeVar

from pipeline.errors import Interrupted
from pipeline.exchange import Answer, Request, Stay
from pipeline.plan import Asked, Listing, StayFacts, by_urgency, due, expected
from pipeline.windows import Window

__all__ = ["EventLoop", "Fetcher", "Progress", "each", "fetch_listing", "fetch_windows"]

T = TypeVar("T")

Land = Callable[[Answer], Awaitable[None]]


class Fetcher(Protocol):
    """Who answers requests; `api.StreamApi` in production."""

    async def fetch(self, request: Request) -> Answer: ...
    def now(self) -> datetime: ...
    def rate(self, endpoint: str) -> float | None: ...


@dataclass(frozen=True)
class Progress:
    """How far fetching a day is, in calls that are listed or in windows. `rate` is what the quota allows, in requests
    per second; None: unknown.
    """

    day: date
    unit: Literal["calls", "windows"]
    done: int
    total: int
    rate: float | None


class EventLoop:
    """One event loop for a process's requests, so that connections and quotas outlive a step.

    While it runs, SIGINT and SIGTERM cancel what runs, which lands what was fetched, and then raise `Interrupted`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return the result. Raises `Interrupted`, and what `main` raises."""
        task = self._loop.create_task(main)
        with self._stopping(task):
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise Interrupted("stopped; everything fetched so far has landed") from None

    def close(self) -> None:
        """End what still waits, and the loop."""

        async def end(waiting: set[asyncio.Task[Any]]) -> None:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

        self._loop.run_until_complete(end(asyncio.all_tasks(self._loop)))
        self._loop.close()

    @contextlib.contextmanager
    def _stopping(self, task: asyncio.Task[Any]) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in signals}
        for number in signals:
            self._loop.add_signal_handler(number, task.cancel)
        try:
            yield
        finally:
            for number in signals:
                self._loop.remove_signal_handler(number)
                signal.signal(number, before[number])


async def each(items: Iterable[T], handle: Callable[[T], Awaitable[None]], workers: int) -> None:
    """`handle` every item, `workers` at a time, in order. The first error ends it all and is raised."""
    queue: asyncio.Queue[T] = asyncio.Queue()
    for item in items:
        queue.put_nowait(item)
    await _drain(queue, handle, workers)


async def fetch_listing(fetcher: Fetcher, land: Land, request: Request, going_on: Listing | None) -> list[Answer]:
    """Fetch and land the pages of a listing to the last one, or the rest of one that was cut off.

    Returns the answers that have an error: none, or the one at which it ended.
    """
    if going_on is None:
        stamp = fetcher.now().strftime("%Y%m%dT%H%M%S.%fZ")
        request = replace(request, listing=f"{stamp}-{secrets.token_hex(4)}", page=0, cursor=None)
    else:
        request = replace(request, listing=going_on.id, page=going_on.pages, cursor=going_on.next_cursor)
    first = request
    seen: set[str] = set()
    while True:
        answer = await fetcher.fetch(request)
        if answer.next_cursor in seen:
            answer = replace(answer, error="the listing goes in circles", next_cursor=None)
        await land(answer)
        if answer.error is not None:
            if going_on is not None and request is first:  # the cursor has expired
                return await fetch_listing(fetcher, land, request, None)
            return [answer]
        if answer.next_cursor is None:
            return []
        seen.add(answer.next_cursor)
        request = replace(request, page=request.page + 1, cursor=answer.next_cursor)


async def fetch_windows(
    fetcher: Fetcher,
    land: Land,
    day: date,
    stays: dict[Stay, StayFacts],
    asked: dict[Stay, list[Asked]],
    *,
    workers: int,
    report: Callable[[Progress], None],
) -> list[Answer]:
    """Fetch and land every window that is due, those first that the source forgets first.

    Of a stay in a call that is over, the first window goes ahead of the others: its answer tells whether the user
    published anything, and so whether the others exist. `asked` is added to. Returns the answers that have an error.
    """
    queue: asyncio.PriorityQueue[tuple[int, Window, Stay]] = asyncio.PriorityQueue()
    behind: dict[Stay, tuple[int, int]] = {}
    total = done = 0
    failures: list[Answer] = []

    def progress() -> None:
        report(Progress(day, "windows", done, total, fetcher.rate("participant_metrics")))

    async def fetch(item: tuple[int, Window, Stay]) -> None:
        nonlocal total, done
        rank, window, stay = item
        answer = await fetcher.fetch(Request("participant_metrics", day, stay=stay, window=window))
        await land(answer)
        asked[stay].append(
            Asked(window, answer.fetched_at, answer.status, answer.error is None, answer.publishes),
        )
        if answer.error is not None:
            failures.append(answer)
        done += 1
        if stay in behind:
            held_back = behind.pop(stay)[1]
            rest = [other for other in due(stays[stay], asked[stay]) if other.since != window.since]
            total += len(rest) - held_back
            for other in rest:
                queue.put_nowait((rank, other, stay))
        progress()

    for rank, stay in enumerate(by_urgency(stays)):
        facts = stays[stay]
        windows = due(facts, asked.setdefault(stay, []))
        total += len(windows)
        if len(windows) > 1 and facts.call.ended_at and windows[0] == expected(facts, asked[stay])[0]:
            behind[stay] = (rank, len(windows) - 1)
            windows = windows[:1]
        for window in windows:
            queue.put_nowait((rank, window, stay))
    if total:
        progress()
        await _drain(queue, fetch, workers)
    return failures


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
