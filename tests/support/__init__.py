"""What several tests share: a day and its ids, how much hypothesis tries, simulated time, tables held against truth."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import selectors
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import hypothesis

from pipeline.landing.landing import Landing
from pipeline.model import Call, Stay
from pipeline.schema import TABLES

T = TypeVar("T")
Truth = dict[str, list[dict[str, Any]]]
"""What the source has: rows by table."""

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


def rows_in(database: Path, table: str) -> Counter[tuple[Any, ...]]:
    """The rows of a table of a database, counted, columns in the order of the contract."""
    columns = ", ".join(f'"{name}"' for name in TABLES[table].schema.names)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return Counter(map(_hashable, connection.execute(f"SELECT {columns} FROM {table}").fetchall()))


def differences(database: Path, landing: Landing, truth: Truth, *, but: Sequence[str] = ()) -> Iterator[str]:
    """Where the tables of a database are not what the source has, row by row; nothing where they are."""
    for table in truth.keys() - set(but):
        names = TABLES[table].schema.names
        rows = _as_asked(database, landing, truth) if table == "participant_sessions" else truth[table]
        expected = Counter(_hashable(tuple(row[name] for name in names)) for row in rows)
        held = rows_in(database, table)
        for how, some in (("lost", expected - held), ("too many", held - expected)):
            if some:
                yield f"{table}: {sum(some.values())} rows {how}, {list(some)[:2]}"


def _as_asked(database: Path, landing: Landing, truth: Truth) -> list[dict[str, Any]]:
    """Participants as they are known by what was asked.

    Participant statistics are not asked about live calls; and who published nothing, by them, has no window at all,
    so that nothing tells what only Participant Metrics have.
    """
    names = TABLES["participant_sessions"].schema.names
    stats = names[names.index("sdk") :]
    told = set()
    for day in {row["session_date"] for row in truth["call_sessions"]}:
        index = landing.index("participant_stats", day).to_pylist()
        told |= {tuple(row[name] for name in names[1:4]) for row in index if row["error"] is None}
    told -= {tuple(row[name] for name in names[1:4]) for row in truth["call_sessions"] if row["is_live"]}
    answered = {row[1:6] for row in rows_in(database, "windows")}
    rows = []
    for row in truth["participant_sessions"]:
        stay = tuple(row[name] for name in names[1:6])
        known = dict(row)
        if stay[:3] not in told:
            known |= dict.fromkeys(stats)
        elif known["is_publisher"] is None:
            known["is_publisher"] = any(known[name] for name in stats if name.startswith("published_"))
        if stay not in answered and not row["is_publisher"]:
            known |= {"is_publisher": False}
            known |= dict.fromkeys(("is_subscriber", "client_name", "client_version", "network_type"))
        rows.append(known)
    return rows


def _hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)
