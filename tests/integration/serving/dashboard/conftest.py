"""Fixtures for the tests of the dashboard: a small database, as a backfill publishes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.emulator import Emulator
from pipeline.flow import Flow
from tests.support.dashboard import DAY, WORLD
from tests.support.flows import run


@pytest.fixture
def published(flow_for: Callable[..., Flow]) -> Path:
    """Return a published database with two calls of two people each."""
    with Emulator(WORLD) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    return flow.settings.warehouse
