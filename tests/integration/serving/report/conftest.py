"""Fixtures for the tests of the report: a call of an hour, and its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.small_world import SmallWorld, both, steady


@pytest.fixture
def world() -> SmallWorld:
    """Return a call: ann is poor, with a gap and a stall; bob is good, twice; cleo only watches."""
    world = SmallWorld()
    world.call(cq_score=63)
    world.stay(
        "ann", 0, 1200, client_name="web", client_version="1.8", network_type="wifi", city="Oslo", country="Norway"
    )
    world.stay("bob", 0, 600)
    world.stay("bob", 700, 1300, user_session_id="bob-2")
    world.stay("cleo", 60, 3000)
    low, none = steady(300, 500, framerate=4, height=180), steady(505, 540, framerate=0)
    world.track(both(steady(0, 295), low, none, steady(545, 700), steady(900, 1195)), track="cam")
    world.track(steady(0, 1195, bitrate=32_000, framerate=None), track="mic", kind="audio", codec="opus")
    world.track(steady(0, 595), user_id="bob", user_session_id="bob")
    world.track(steady(700, 1295), user_id="bob", user_session_id="bob-2")
    world.warning(310)
    world.warning(400)
    return world


@pytest.fixture
def published(world: SmallWorld, tmp_path: Path) -> Callable[[], Path]:
    """Publish the world, and return the path of the database."""

    def publish() -> Path:
        world.load(tmp_path).close()
        return tmp_path / "published.duckdb"

    return publish
