"""What Ctrl-C (SIGINT) and SIGTERM do to a command.

While requests are in flight, `extract.event_loop` handles signals; while a step runs, Dagster does.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

from pipeline.errors import Interrupted

__all__ = ["deferred", "interrupt_on_sigterm"]


def interrupt_on_sigterm() -> None:
    """Make SIGTERM end the process as Ctrl-C does: with `KeyboardInterrupt`."""
    signal.signal(signal.SIGTERM, _interrupt)


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], None]]:
    """Defer SIGINT and SIGTERM. Calling the yielded function raises `Interrupted` if one has arrived.

    Between the steps of a run nothing takes long, and an exception inside Dagster's bookkeeping would only confuse it.
    A second signal is not deferred.
    """
    arrived: list[int] = []

    def note(number: int, frame: object) -> None:
        if arrived:
            _interrupt(number, frame)
        arrived.append(number)

    def check() -> None:
        if arrived:
            raise Interrupted("stopped; everything fetched so far has landed")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
