"""The emulator as a process of its own: ``python -m pipeline.emulator``.

Here: the command line, and ``run``, which the main command line calls too. Not here: the emulator (``server``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import FrameType
from typing import Final

from .clocks import real_time
from .quotas import Quota
from .routes import ENDPOINTS
from .server import KEY, SECRET, Emulator
from .worlds import World

WORLDS: Final = ("demo", "odd", "uniform")


def make_world(kind: str, today: date, days: int, seed: int) -> World:
    """A ready-made world of the days before ``today`` (the demo's has today as well)."""
    first = today - timedelta(days=days)
    if kind == "uniform":
        made = [World.uniform(first + timedelta(days=day), seed=seed) for day in range(days)]
        return World(tuple(call for world in made for call in world.calls), seed)
    if kind == "demo":
        return World.demo(today, days, seed)
    if kind == "odd":
        return World.odd(first, days, seed)
    raise ValueError(f"no world is called {kind}; there are {', '.join(WORLDS)}")


def run(
    port: int = 0,
    world: str = "demo",
    days: int = 3,
    seed: int = 0,
    quotas: Mapping[str, Quota | None] | None = None,
    journal_size: int = 0,
    today: date | None = None,
) -> int:
    """Serve a ready-made world until SIGTERM or SIGINT; prints one line of JSON with url, key and secret when ready.

    Must be called in the main thread. Raises ``OSError`` where the port is taken.
    """
    stop = threading.Event()

    def told(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        made = make_world(world, today or real_time().date(), days, seed)
        with Emulator(made, port=port, quotas=quotas, journal_size=journal_size) as emulator:
            sys.stdout.write(json.dumps({"url": emulator.url, "key": KEY, "secret": SECRET}) + "\n")
            sys.stdout.flush()
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m pipeline.emulator", description="A stand-in for Stream's Video API.")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--world", choices=WORLDS, default="demo", help="what happened (default: demo)")
    parser.add_argument("--days", type=int, default=3, help="how many days before today (default: 3)")
    parser.add_argument("--today", type=_day, help="the day after the world's last whole one (default: today, UTC)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other values")
    parser.add_argument("--journal", type=int, default=0, help="requests kept in memory (default: 0)")
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        type=_quota,
        metavar="ENDPOINT=LIMIT[/SECONDS]",
        help="requests an endpoint takes in a window of so many seconds (60 unless said); may be repeated",
    )
    given = parser.parse_args(arguments)
    try:
        return run(given.port, given.world, given.days, given.seed, dict(given.quota), given.journal, given.today)
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {given.port}: {os.strerror(error.errno or 0)}\n")
        return 2


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _quota(text: str) -> tuple[str, Quota]:
    name, _, figures = text.partition("=")
    limit, _, seconds = figures.partition("/")
    names = [endpoint.name for endpoint in ENDPOINTS]
    if name not in names:
        raise argparse.ArgumentTypeError(f"no endpoint is called {name!r}; there are {', '.join(names)}")
    try:
        return name, Quota(int(limit), float(seconds or 60))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not ENDPOINT=LIMIT[/SECONDS]") from None


if __name__ == "__main__":
    sys.exit(main())
