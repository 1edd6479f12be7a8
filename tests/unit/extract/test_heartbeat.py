"""A fetch asks now and then whether its turn is still its own, and stops when it is not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pipeline.errors import FixStorage
from pipeline.extract import heartbeat
from pipeline.extract.heartbeat import while_still_mine


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask all the time."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)


def test_result_of_work_is_returned_as_long_as_the_turn_is_held() -> None:
    """It is asked about, several times."""
    asked = threading.Semaphore(0)

    async def work() -> str:
        for _ in range(3):
            assert await asyncio.to_thread(asked.acquire, timeout=10)
        return "done"

    assert asyncio.run(while_still_mine(work(), asked.release)) == "done"


def test_work_is_cancelled_when_the_turn_is_lost() -> None:
    """What it does at its end is done before the error is raised."""
    ended: list[str] = []

    def lost() -> None:
        raise FixStorage("the turn was lost")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.append("landed")

    with pytest.raises(FixStorage, match="the turn was lost"):
        asyncio.run(while_still_mine(work(), lost))
    assert ended == ["landed"]


def test_error_of_work_is_raised() -> None:
    """Not one of the turn."""

    async def work() -> None:
        raise FixStorage("full")

    with pytest.raises(FixStorage, match="full"):
        asyncio.run(while_still_mine(work(), lambda: None))


def test_question_under_way_is_answered_before_the_end() -> None:
    """Nobody uses the connection after the step, and an answer that comes too late is not raised."""
    asking, answer = threading.Event(), threading.Event()
    answered: list[bool] = []

    def still_mine() -> None:
        asking.set()
        answered.append(answer.wait(10))
        raise FixStorage("too late")

    async def work() -> str:
        await asyncio.to_thread(asking.wait, 10)
        asyncio.get_running_loop().call_later(0.05, answer.set)
        return "done"

    assert asyncio.run(while_still_mine(work(), still_mine)) == "done"
    assert answered == [True]


def test_cancelled_from_outside_the_work_ends_first() -> None:
    """As by Ctrl-C."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("landed")

    async def main() -> None:
        task = asyncio.ensure_future(while_still_mine(work(), lambda: None))
        await asyncio.sleep(0.03)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert ended == ["landed"]
