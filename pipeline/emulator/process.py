"""Process: a ready-made world served until a signal comes.

Here: ``run``, which ``python -m pipeline.emulator`` and the main command line share. Not here: the emulator itself
(``server``), and options (``__main__``).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from types import FrameType
from typing import Final

from .clocks import real_time
from .quotas import Quota
from .server import Emulator
from .worlds import World

WORLDS: Final = ("demo", "odd", "uniform")
"""The ready-made worlds."""


def make_world(kind: str, today: date, days: int, seed: int = 0) -> World:
    """A ready-made world of the ``days`` days before ``today``; the demo's has calls on ``today`` as well."""
    first = today - timedelta(days=days)
    if kind == "demo":
        return World.demo(today, days, seed)
    if kind == "odd":
        return World.odd(first, days, seed)
    if kind == "uniform":
        made = [World.uniform(first + timedelta(days=day), seed=seed) for day in range(days)]
        return World(tuple(call for world in made for call in world.calls), seed)
    raise ValueError(f"no world is called {kind!r}; there are {', '.join(WORLDS)}")


def announce(emulator: Emulator) -> None:
    """Say where the emulator is, as one line of JSON on standard output."""
    sys.stdout.write(json.dumps({"url": emulator.url, "key": emulator.key, "secret": emulator.secret}) + "\n")
    sys.stdout.flush()


def run(
    port: int = 0,
    world: str = "demo",
    days: int = 3,
    seed: int = 0,
    *,
    quotas: Mapping[str, Quota | None] | None = None,
    journal_size: int | None = 0,
    today: date | None = None,
    ready: Callable[[Emulator], None] = announce,
) -> int:
    """Serve a ready-made world until SIGTERM or SIGINT, and return 0. Must be called in the main thread.

    Args:
        port: TCP port on 127.0.0.1; 0 for any free one.
        world: ``demo``, ``odd`` or ``uniform``.
        days: how many days before ``today`` it has.
        seed: another seed gives other values.
        quotas: see ``Emulator``.
        journal_size: see ``Emulator``; 0 keeps no requests in memory.
        today: the day after the last whole one; None for today in UTC.
        ready: called once requests are answered.

    Raises:
        OSError: the port is taken.
    """
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        made = make_world(world, today or real_time().date(), days, seed)
        with Emulator(made, port=port, quotas=quotas, journal_size=journal_size) as emulator:
            ready(emulator)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
