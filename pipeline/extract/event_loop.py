"""One event loop for all requests of a process, and how a signal ends what runs in it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from pipeline.errors import Interrupted

__all__ = ["EventLoop"]

T = TypeVar("T")


class EventLoop:
    """One event loop for a process's requests, so that connections and quotas outlive a step.

    While it runs, SIGINT and SIGTERM cancel what runs, which lands everything fetched so far, and then raise
    `Interrupted`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result. Raises `Interrupted`, and what `main` raises."""
        task = self._loop.create_task(main)
        with self._cancelling_on_signals(task):
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise Interrupted("stopped; everything fetched so far has landed") from None

    def close(self) -> None:
        """Cancel what still waits, and close the loop."""

        async def end(waiting: set[asyncio.Task[Any]]) -> None:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

        self._loop.run_until_complete(end(asyncio.all_tasks(self._loop)))
        self._loop.close()

    @contextlib.contextmanager
    def _cancelling_on_signals(self, task: asyncio.Task[Any]) -> Iterator[None]:
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
