"""What end-to-end tests share: a pipeline on a folder of its own, and the published database held against the truth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.api import StreamApi
from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings
from pipeline.tables import TABLES

FROM_SOURCE = ("call_sessions", "participant_sessions", "tracks", "metric_points", "track_warnings")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests are not the tests'."""
    for name in list(os.environ):
        if name.startswith(("CALL_METRICS_", "STREAM_", "DAGSTER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for an emulator, with a data folder of the test's own."""

    def make(emulator: Emulator, **given: Any) -> Settings:
        values: dict[str, Any] = {
            "api_key": KEY,
            "api_secret": Secret(SECRET),
            "base_url": emulator.url,
            "data": tmp_path / "data",
        }
        return Settings(**values | given)

    return make


@pytest.fixture
def flow_for(settings_for: Callable[..., Settings]) -> Iterator[Callable[..., Flow]]:
    """Flows on an emulator that do not wait between attempts; closed when the test is over."""
    flows: list[Flow] = []

    def make(emulator: Emulator, **given: Any) -> Flow:
        flows.append(Flow(settings_for(emulator, **given), connect=_impatient))
        return flows[-1]

    yield make
    for flow in flows:
        flow.__exit__(None, None, None)


def _impatient(settings: Settings) -> StreamApi:
    return StreamApi(
        settings.base_url, settings.credentials(), concurrency=settings.concurrency, backoff=lambda attempt: 0.0
    )


def run(flow: Flow, *days: date) -> None:
    """All steps for some days."""
    for day in days:
        flow.land_call_stats(day)
        flow.land_attendance(day)
        flow.land_statistics(day)
        flow.land_metrics(day)
        flow.write_tables(day)
        flow.load([day])


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=offset) for offset in range(count)]


def published(flow: Flow, table: str) -> Counter[tuple[Any, ...]]:
    """The rows of a table of the published database, counted, columns in the order of the contract."""
    columns = ", ".join(f'"{name}"' for name in TABLES[table].schema.names)
    with duckdb.connect(str(flow.settings.warehouse), read_only=True) as database:
        database.execute("SET TimeZone = 'UTC'")
        return Counter(_hashable(row) for row in database.execute(f"SELECT {columns} FROM {table}").fetchall())


def assert_published(flow: Flow, truth: dict[str, list[dict[str, Any]]], *, but: tuple[str, ...] = ()) -> None:
    """The published tables hold what the source has, row by row: nothing missing, nothing extra."""
    for table in FROM_SOURCE:
        if table in but:
            continue
        names = TABLES[table].schema.names
        rows = _as_asked(flow, truth) if table == "participant_sessions" else truth[table]
        expected = Counter(_hashable(tuple(row[name] for name in names)) for row in rows)
        held = published(flow, table)
        assert not (expected - held), f"{table}: missing {list((expected - held).elements())[:3]}"
        assert not (held - expected), f"{table}: extra {list((held - expected).elements())[:3]}"


def _as_asked(flow: Flow, truth: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Participants as they are known by what was asked.

    Participant statistics are not asked about live calls; and who published nothing, by them, has no window at all,
    so that nothing tells what only Participant Metrics have.
    """
    stats = TABLES["participant_sessions"].schema.names
    stats = stats[stats.index("sdk") :]
    told = set()
    for day in {row["session_date"] for row in truth["call_sessions"]}:
        index = flow.landing.index("participant_stats", day).to_pylist()
        told |= {tuple(row[name] for name in TABLES["call_sessions"].key[1:]) for row in index if row["error"] is None}
    live = {_call(row) for row in truth["call_sessions"] if row["is_live"]}
    answered = {(*_call(row), *row[4:6]) for row in published(flow, "windows")}
    rows = []
    for row in truth["participant_sessions"]:
        stay = tuple(row.values())[1:6]
        known = dict(row)
        if stay[:3] in live or stay[:3] not in told:
            known |= dict.fromkeys(stats)
        elif known["is_publisher"] is None:
            known["is_publisher"] = any(known[name] for name in stats if name.startswith("published_"))
        if stay not in answered and not row["is_publisher"]:
            known |= {"is_publisher": False}
            known |= dict.fromkeys(("is_subscriber", "client_name", "client_version", "network_type"))
        rows.append(known)
    return rows


def _call(row: Any) -> tuple[Any, ...]:
    return tuple(row.values() if isinstance(row, dict) else row)[1:4]


def _hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)
