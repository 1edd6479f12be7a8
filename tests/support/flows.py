"""Whole runs: days on the emulator, and the published database compared with what the source has.

A run goes through `Flow.run`, as everywhere. `DAY`, `START`, `AFTERWARDS`, `call` and `WORLD` are the calls that most
tests of whole runs use; they are on another day than that of `tests.support`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipeline.emulator import CallSpec, Points, StaySpec, TrackSpec, World
from pipeline.flow import Flow
from tests.support import ExpectedRows, differences, rows_in

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 22, tzinfo=UTC)
"""When every `call` starts: two hours before the end of the day."""

AFTERWARDS = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""When everything is over and every report is made."""


def call(name: str, *, minutes: int | None, people: int = 1, **given: Any) -> CallSpec:
    """Return a call in which everyone talks to the end. Without `minutes` it is live."""
    end = START + timedelta(minutes=minutes) if minutes is not None else None
    talk = Points.every(30, START, bitrate=tuple(range(2 * (minutes or 1_000))))
    return CallSpec(
        call_type="default",
        call_id=name,
        call_session_id=f"{name}-1",
        started_at=START,
        ended_at=end,
        participants=tuple(
            StaySpec(
                user_id=f"user-{number}",
                user_session_id=f"{name}-{number}",
                joined_at=START,
                left_at=end,
                tracks=(TrackSpec("mic", "audio", "opus", talk),),
            )
            for number in range(people)
        ),
        **given,
    )


WORLD = World((call("a", minutes=50, people=2), call("b", minutes=20, people=2)))


def run(flow: Flow, *days: date) -> None:
    """Run all steps for some days."""
    for day in days:
        flow.run(day)


def days_from(first: date, count: int) -> list[date]:
    """Return `count` consecutive days."""
    return [first + timedelta(days=offset) for offset in range(count)]


def published(flow: Flow, table: str) -> Counter[tuple[Any, ...]]:
    """Return the rows of a table of the published database, counted, with columns in the order of the contract."""
    return rows_in(flow.settings.warehouse, table)


def assert_published(flow: Flow, expected: ExpectedRows, *, but: tuple[str, ...] = ()) -> None:
    """Assert that the published tables have exactly the rows that the source has, except for the tables in `but`."""
    assert not list(differences(flow.settings.warehouse, flow.landing, expected, but=but))


def traces(folder: Path, text: str) -> list[str]:
    """Return the files in a folder that contain a text. Parquet files are searched by their values."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = "\n".join(map(str, pq.read_table(path, partitioning=None).to_pylist())).encode()
            if text.encode() in content:
                found.append(str(path.relative_to(folder)))
    return found


@contextmanager
def writers_database(flow: Flow) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield the writer's database, open for writing, as versions before 8 left it beside the published one."""
    path = flow.settings.work / "warehouse.duckdb"
    shutil.copyfile(flow.settings.warehouse, path)
    with duckdb.connect(str(path)) as database:
        yield database
