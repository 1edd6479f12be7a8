"""Serves a ready-made world until a signal arrives. `python -m pipeline.emulator` and `call-metrics emulator` share it.

The emulator itself is in `pipeline.emulator.http`, the options of the command line in `__main__`.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import date, timedelta
from types import FrameType
from typing import Final

from .http.emulator import Emulator
from .http.quotas import Quota
from .world.clocks import real_time
from .world.demo import demo_world
from .world.odd import odd_world
from .world.uniform import uniform_world
from .world.world import World

WORLD_NAMES: Final = ("demo", "odd", "uniform")
"""The ready-made worlds."""


def make_world(name: str, today: date, days: int, seed: int = 0) -> World:
    """Return a ready-made world of the `days` days before `today`. Only `demo` also has calls on `today`.

    Raises:
        ValueError: there is no world of that name.
    """
    first = today - timedelta(days=days)
    if name == "demo":
        return demo_world(today, days, seed)
    if name == "odd":
        return odd_world(first, days, seed)
    if name == "uniform":
        worlds = [uniform_world(first + timedelta(days=day), seed=seed) for day in range(days)]
        return World(tuple(call for world in worlds for call in world.calls), seed)
    raise ValueError(f"no world is called {name!r}; there are {', '.join(WORLD_NAMES)}")


def announce(emulator: Emulator) -> None:
    """Write the address and the credentials of the emulator to standard output, as one line of JSON."""
    sys.stdout.write(json.dumps({"url": emulator.url, "key": emulator.key, "secret": emulator.secret}) + "\n")
    sys.stdout.flush()


def run(
    port: int = 0,
    world: str = "demo",
    days: int = 3,
    seed: int = 0,
    *,
    quotas: Mapping[str, Quota | None] | None = None,
    today: date | None = None,
) -> int:
    """Serve a ready-made world until SIGTERM or SIGINT, and return 0. Must be called in the main thread.

    Args:
        port: TCP port on 127.0.0.1; 0 for any free one.
        world: `demo`, `odd` or `uniform`.
        days: number of days before `today`.
        seed: another seed gives other values.
        quotas: see `Emulator`.
        today: the day after the last whole one; None for today in UTC.

    Raises:
        OSError: the port is taken.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        made = make_world(world, today or real_time().date(), days, seed)
        with Emulator(made, port=port, quotas=quotas, max_logged_requests=0) as emulator:
            announce(emulator)
            stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0
