"""What several tests share: a day and its ids, how much hypothesis tries, and an event loop whose time is simulated."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import selectors
from collections.abc import Coroutine, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import hypothesis

from pipeline.exchange import Call, Stay

T = TypeVar("T")

DAY = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
CALL = Call("default", "standup", "s1")
STAY = Stay(CALL, "ann", "ann-1")


def at(hour: int, minute: int = 0, second: float = 0) -> datetime:
    """A time of that day, UTC."""
    return MIDNIGHT + timedelta(hours=hour, minutes=minute, seconds=second)


def examples(count: int) -> hypothesis.settings:
    """So many examples, the same ones every time, however slow the machine."""
    return hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


class Deadlock(Exception):
    """Everything waits, and nothing is left that could end the wait."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: where nothing is ready, its clock jumps to what comes next.

    Only for coroutines without sockets and threads. Where nothing will ever come, it raises `Deadlock`.
    """

    def __init__(self) -> None:
        super().__init__(_Jump(self))
        self.elapsed = 0.0

    def time(self) -> float:
        return self.elapsed


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self._loop.elapsed += max(0.0, timeout)
        return super().select(0)


def simulate(main: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


@contextlib.contextmanager
def no_more_files_open() -> Iterator[None]:
    """What it is like when the system has no file descriptor left to give: opening anything fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk is like: writing more than so many bytes to a file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
