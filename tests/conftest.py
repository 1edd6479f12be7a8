"""Fixtures of all tests: an environment without settings, and flows on the emulator with a data folder of their own."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.startup import GC_THRESHOLD
from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings
from tests.support.databases import copy_new_databases
from tests.support.postgres import PASSWORD, Database, Postgres, missing_programs

LONG = ("test_documents.py", "integration/cli/", "integration/orchestration/", "integration/storage/")
"""Where the longest tests are."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `poe docs` write real outputs into the documents."""
    parser.addoption("--update-documents", action="store_true", help="write real outputs into the documents")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start three workers for two processors: tests wait a third of the time for processes and servers of their own."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


def pytest_configure() -> None:
    """Run the garbage collector as seldom as the command line does: it would look at all of Dagster again and again."""
    gc.set_threshold(GC_THRESHOLD)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests of whole programs, which are long, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: not any(part in item.nodeid for part in LONG))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove settings from the environment of the tests."""
    for name in list(os.environ):
        if name.startswith(("CALL_METRICS_", "STREAM_", "DAGSTER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Return a function that makes settings for an emulator, with a data folder of the test's own."""

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
def flow_for(settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Flow]]:
    """Return a function that makes flows on an emulator, without waits between attempts; closed after the test."""
    copy_new_databases(monkeypatch)
    flows: list[Flow] = []

    def make(emulator: Emulator, **given: Any) -> Flow:
        flows.append(Flow(settings_for(emulator, **given), connect=_connect_without_backoff))
        return flows[-1]

    yield make
    for flow in flows:
        flow.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL server, one for each process of the tests. It ends with the process."""
    if reason := missing_programs():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return an empty database of the server, with the password where PostgreSQL's clients look for it."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return postgres.create_database()


@pytest.fixture(params=[pytest.param("file", marks=pytest.mark.slow), "postgres"])
def lake_setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a value of CALL_METRICS_WAREHOUSE: a DuckLake with its catalog in a file, or in PostgreSQL.

    They differ in little but the attachment, so that one of them is enough for most runs.
    """
    if request.param == "file":
        return f"ducklake:{tmp_path / 'catalog.ducklake'}"
    setting: str = request.getfixturevalue("database").setting()
    return setting


@pytest.fixture(
    params=["file", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lake", "lake in PostgreSQL"))]
)
def warehouse_setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a value of CALL_METRICS_WAREHOUSE: a database, or a DuckLake with its catalog in a file or PostgreSQL."""
    if request.param == "file":
        return f"{tmp_path / 'warehouse.duckdb'}"
    if request.param == "lake":
        return f"ducklake:{tmp_path / 'catalog.ducklake'}"
    setting: str = request.getfixturevalue("database").setting()
    return setting


def _connect_without_backoff(settings: Settings) -> StreamApi:
    return StreamApi(
        settings.base_url, settings.credentials(), concurrency=settings.concurrency, backoff=lambda attempt: 0.0
    )
