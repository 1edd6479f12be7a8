"""Helpers of all tests: a day, its ids and what is missing of it, hypothesis settings, simulated time, resource limits,
comparing tables.

Responses made by hand are in `responses`, whole runs on the emulator in `flows`, servers for the client in `api`, and
a plain client of the emulator in `emulator_reader`.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import selectors
import socket
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import hypothesis

from pipeline.catalog import LakeCatalog
from pipeline.landing.landing import Landing
from pipeline.model import Call, Stay
from pipeline.planning.completeness import DayCompleteness
from pipeline.schema import TABLES
from pipeline.warehouse.published import open_published

T = TypeVar("T")
ExpectedRows = dict[str, list[dict[str, Any]]]
"""The rows that the source has, by table."""

DAY = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
CALL = Call("default", "standup", "s1")
STAY = Stay(CALL, "ann", "ann-1")


def at(hour: int, minute: int = 0, second: float = 0) -> datetime:
    """Return a time of the day, in UTC."""
    return MIDNIGHT + timedelta(hours=hour, minutes=minute, seconds=second)


def examples(count: int) -> hypothesis.settings:
    """Return settings for `count` examples, the same ones every time, without a deadline."""
    return hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


class Deadlock(Exception):
    """Everything waits, and nothing can end the wait."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: if nothing is ready, its clock jumps to the next event.

    Only for coroutines without sockets and threads. Raises `Deadlock` if there is no next event.
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
    """Return the result of a coroutine, run in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


def judged_day(**given: Any) -> DayCompleteness:
    """Return a complete day of one call and one stay, with the given values in the place of others."""
    values: dict[str, Any] = {
        "day": DAY,
        "calls": 1,
        "live_calls": 0,
        "promised": 1,
        "held": 1,
        "windows": {"landed": 1},
        "due": 0,
        "problems": [],
        "first_expiry": at(24 * 90 + 11),
        "is_over": True,
    }
    return DayCompleteness(**values | given)


@contextlib.contextmanager
def no_more_files_open() -> Iterator[None]:
    """Make opening any file fail within the block, as if the system had no file descriptor left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make writing more than `size` bytes to a file fail within the block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def rows_in(database: Path | LakeCatalog, table: str) -> Counter[tuple[Any, ...]]:
    """Return the rows of a table of a database, counted, with columns in the order of the contract."""
    columns = ", ".join(f'"{name}"' for name in TABLES[table].schema.names)
    with open_published(database) as connection:
        return Counter(map(_hashable, connection.execute(f"SELECT {columns} FROM {table}").fetchall()))


def differences(
    database: Path | LakeCatalog, landing: Landing, expected: ExpectedRows, *, but: Sequence[str] = ()
) -> Iterator[str]:
    """Yield how each table of a database differs from what the source has, row by row; nothing if it does not."""
    for table in expected.keys() - set(but):
        names = TABLES[table].schema.names
        rows = _as_requested(database, landing, expected) if table == "participant_sessions" else expected[table]
        wanted = Counter(_hashable(tuple(row[name] for name in names)) for row in rows)
        stored = rows_in(database, table)
        for how, some in (("lost", wanted - stored), ("too many", stored - wanted)):
            if some:
                yield f"{table}: {sum(some.values())} rows {how}, {list(some)[:2]}"


def _as_requested(database: Path | LakeCatalog, landing: Landing, expected: ExpectedRows) -> list[dict[str, Any]]:
    """Return participants as far as the requests sent can show them.

    Participant statistics of live calls are not requested. A user who published nothing, according to statistics, has
    no window, so the columns that only Participant Metrics fill are NULL.
    """
    names = TABLES["participant_sessions"].schema.names
    stats = names[names.index("sdk") :]
    with_stats = set()
    for day in {row["session_date"] for row in expected["call_sessions"]}:
        index = landing.index("participant_stats", day).to_pylist()
        with_stats |= {tuple(row[name] for name in names[1:4]) for row in index if row["error"] is None}
    with_stats -= {tuple(row[name] for name in names[1:4]) for row in expected["call_sessions"] if row["is_live"]}
    with_window = {row[1:6] for row in rows_in(database, "windows")}
    rows = []
    for row in expected["participant_sessions"]:
        stay = tuple(row[name] for name in names[1:6])
        shown = dict(row)
        if stay[:3] not in with_stats:
            shown |= dict.fromkeys(stats)
        elif shown["is_publisher"] is None:
            shown["is_publisher"] = any(shown[name] for name in stats if name.startswith("published_"))
        if stay not in with_window and not row["is_publisher"]:
            shown |= {"is_publisher": False}
            shown |= dict.fromkeys(("is_subscriber", "client_name", "client_version", "network_type"))
        rows.append(shown)
    return rows


def _hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
