"""Runs each call of a tool in a process of its own, which is ended when its time is over.

A query in DuckDB can be interrupted only between pieces of work, and some pieces take minutes. Memory that a value
needs is not all counted by DuckDB. So time and memory are limited for the process. Processes are used again for later
calls; anyio starts and ends them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import anyio
import anyio.to_process

from pipeline.errors import CallMetricsError, FixSettings
from pipeline.logs import LogFormat, are_json, to_stderr

__all__ = ["Workers", "too_slow"]

P = ParamSpec("P")
T = TypeVar("T")

MOST_AT_ONCE = 4
"""Calls that run at the same time. Others wait their turn, before their time starts."""

GRACE_SECONDS = 5.0
"""How much later a process is ended than a call should have stopped by itself. Starting a process is within it."""

MAX_DATA_BYTES = 2 << 30
"""Memory of a call, where the system can limit it. DuckDB's own limit is lower, see `ask`."""


@dataclass(frozen=True)
class _Refusal:
    """An error of the user. It goes between processes as a value: not every exception can."""

    sentence: str


class Workers:
    """Runs functions that are defined in a module, with values that can be pickled. Each has `seconds` of time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._turns: anyio.CapacityLimiter | None = None
        # Python would look for anyio in the working folder first, which may be anyone's.
        os.environ.setdefault("PYTHONSAFEPATH", "1")

    async def run(self, function: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Return what the function returns for `args`, without blocking the event loop.

        Raises `FixSettings` with the sentence of any `CallMetricsError` that it raises, and if it takes too long or
        needs too much memory. A task that is cancelled ends the process.
        """
        self._turns = self._turns or anyio.CapacityLimiter(MOST_AT_ONCE)
        form: LogFormat = "json" if are_json() else "text"
        async with self._turns:
            with anyio.move_on_after(self.seconds + GRACE_SECONDS):
                try:
                    found: object = await anyio.to_process.run_sync(
                        _call, self.seconds, form, function, args, cancellable=True, limiter=anyio.CapacityLimiter(1)
                    )
                except anyio.BrokenWorkerProcess:
                    raise FixSettings("this needed too much time or memory and was ended; ask for less") from None
                if isinstance(found, _Refusal):
                    raise FixSettings(found.sentence)
                return cast(T, found)
        raise too_slow(self.seconds)


def too_slow(seconds: float) -> FixSettings:
    return FixSettings(
        f"this took longer than {seconds:g} seconds and was ended; ask for less, such as one session_date, or use LIMIT"
    )


def _call(seconds: float, form: LogFormat, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call the function in the process of the worker, with its limits. What it logs has the form of the server's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server, which then ends us
    _limit_memory()
    _end_after(seconds + 2 * GRACE_SECONDS)
    try:
        with to_stderr(form, logging.WARNING):
            return function(*args)
    except CallMetricsError as error:
        return _Refusal(str(error))
    except MemoryError:
        return _Refusal("this needs too much memory; ask for less")
    finally:
        _end_after(None)


def _limit_memory() -> None:
    """Limit what this process may allocate from now on, where the system can. macOS and Windows cannot."""
    if sys.platform == "linux":
        import resource

        found = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
        used = int(found[1]) * 1024 if found else 0  # earlier calls may have left addresses that are reserved
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        with contextlib.suppress(OSError, ValueError):  # the system has a lower limit already
            resource.setrlimit(resource.RLIMIT_DATA, (used + MAX_DATA_BYTES, most))


def _end_after(seconds: float | None) -> None:
    """Let the system end this process, in case that the server was killed and cannot; None: not any more."""
    if sys.platform != "win32":
        signal.alarm(0 if seconds is None else math.ceil(seconds))
