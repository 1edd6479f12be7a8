"""The event loop of a process: it outlives a step, and ends what still waits."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import FixStorage, Interrupted
from pipeline.extract.event_loop import EventLoop


def test_event_loop_outlives_a_run() -> None:
    """What one run made can be used by the next, as connections are, and closing the loop ends what still waits."""
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


def test_event_loop_can_be_used_after_an_error() -> None:
    """Errors are raised as they are, and a cancellation is raised as an interruption."""
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
