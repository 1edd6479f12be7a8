"""What end-to-end tests share: a pipeline on a folder of its own, and the published database held against the truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `poe docs` write real outputs into the documents."""
    parser.addoption("--update-documents", action="store_true", help="write real outputs into the documents")


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
