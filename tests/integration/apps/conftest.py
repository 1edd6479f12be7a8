"""Fixtures: emulators of two apps, and flows on them in one data root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.emulator import Emulator
from pipeline.flow import Flow
from tests.support.apps import access, two_apps


@pytest.fixture(scope="module")
def emulators() -> Iterator[dict[str, Emulator]]:
    """Yield the emulators of two apps, by name."""
    with two_apps() as both:
        yield both


@pytest.fixture
def app_flow(flow_for: Callable[..., Flow], emulators: dict[str, Emulator]) -> Callable[..., Flow]:
    """Return a function that makes a flow of an app; `app=None` among the settings makes it one without a name."""

    def make(name: str, **given: object) -> Flow:
        emulator = emulators[name]
        return flow_for(emulator, **{"app": name} | access(name, emulator) | given)

    return make


@pytest.fixture
def lake_setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a value of CALL_METRICS_WAREHOUSE: a DuckLake, whose catalog is a file unless PostgreSQL is asked for."""
    if getattr(request, "param", "file") == "file":
        return f"ducklake:{tmp_path / 'catalog.ducklake'}"
    setting: str = request.getfixturevalue("database").setting()
    return setting
