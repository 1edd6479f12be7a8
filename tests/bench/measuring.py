"""What the benchmarks share: an emulator as a process of its own, and processes with what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)

_SERVE = """
import sys, threading, signal
from datetime import date
from pipeline.emulator import Emulator, uniform_world
day, calls, people, minutes, step = date.fromisoformat(sys.argv[1]), *map(int, sys.argv[2:6])
with Emulator(uniform_world(day, calls, people, minutes, step), max_logged_requests=0) as emulator:
    print(emulator.url, flush=True)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    done.wait()
"""


@dataclass(frozen=True)
class Cost:
    """What a process cost: CPU seconds of user and system, wall seconds, and the most memory it held, in MB."""

    user: float
    system: float
    wall: float
    megabytes: float
    code: int
    output: str

    @property
    def cpu(self) -> float:
        return self.user + self.system


@contextmanager
def uniform_source(
    day: date = YESTERDAY, *, calls: int = 80, people: int = 10, minutes: int = 55, step_seconds: int = 5
) -> Iterator[str]:
    """Yield the address of an emulator with a day of equal calls."""
    arguments = [day.isoformat(), *(str(number) for number in (calls, people, minutes, step_seconds))]
    process = subprocess.Popen([sys.executable, "-c", _SERVE, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def environment(url: str, data: Path) -> dict[str, str]:
    """Return settings for a process that fetches from an emulator into a folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(data.parent),
        "STREAM_API_KEY": "emulator",
        "STREAM_API_SECRET": "emulator-secret-for-local-use-only",
        "STREAM_BASE_URL": url,
        "CALL_METRICS_DATA": str(data),
    }


_LAUNCH = """
import json, os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(int(sys.argv[1]), "w") as report:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 1024], report)
"""
"""Starts a process from one that is small: Linux counts the memory of the parent as the child's until it has begun."""


def cost_of(command: list[str], variables: dict[str, str], folder: Path) -> Cost:
    """Run a process to its end and return what it cost, as the operating system counts it."""
    began = datetime.now(UTC)
    theirs, ours = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, f"{ours}", *command],
        env=variables,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=[ours],
    )
    os.close(ours)
    output, _ = process.communicate()
    with os.fdopen(theirs) as report:
        code, user, system, megabytes = json.load(report)
    return Cost(user, system, (datetime.now(UTC) - began).total_seconds(), megabytes, code, output)
