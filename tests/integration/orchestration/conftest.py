"""What tests of Dagster share: an instance, and settings where Dagster's own processes read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.settings import Settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Emulator], Settings]:
    """Set the settings for an emulator in the environment, and return them."""

    def configure(emulator: Emulator) -> Settings:
        monkeypatch.setenv("STREAM_API_KEY", KEY)
        monkeypatch.setenv("STREAM_API_SECRET", SECRET)
        monkeypatch.setenv("STREAM_BASE_URL", emulator.url)
        monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path / "data"))
        monkeypatch.chdir(tmp_path)
        return Settings.load()

    return configure
