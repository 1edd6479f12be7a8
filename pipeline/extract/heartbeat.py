"""While a day is fetched: notice soon that its turn is lost, so that two machines do not spend quota on the same day.

What a turn is, and how it is lost, is in `turns`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pipeline.turns import StillMine

__all__ = ["BEAT_SECONDS", "while_still_mine"]

T = TypeVar("T")

BEAT_SECONDS = 10.0
"""Seconds between two looks whether the turn is still ours. With the longest wait for an answer, this is less than the
server needs to notice that we are gone, and so we stop before another machine begins."""


async def while_still_mine(work: Coroutine[Any, Any, T], still_mine: StillMine) -> T:
    """Return the result of `work`. If the turn is lost meanwhile, cancel the work and raise what `still_mine` raises.

    `still_mine` is called in a thread, since its answer may take seconds; no call outlives this one.
    """
    working = asyncio.ensure_future(work)
    beating = asyncio.ensure_future(_beat(still_mine))
    try:
        await asyncio.wait([working, beating], return_when=asyncio.FIRST_COMPLETED)
        if beating.done():
            beating.result()
        return await working
    finally:
        for task in (working, beating):
            task.cancel()
        await asyncio.gather(working, beating, return_exceptions=True)


async def _beat(still_mine: StillMine) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        asking = asyncio.ensure_future(asyncio.to_thread(still_mine))
        try:
            await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.gather(asking, return_exceptions=True)  # the connection must not be closed under it
            raise
