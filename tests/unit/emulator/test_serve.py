"""The worlds that the emulator serves by name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.emulator import make_world
from tests.support.emulator_reader import DAY


@pytest.mark.parametrize("kind", ["demo", "odd", "uniform"])
def test_make_world_has_the_days_before_today(kind: str) -> None:
    """The newest day is yesterday; only the demo also has calls today."""
    world = make_world(kind, DAY.date(), 2, 0)
    days = {call.started_at.date() for call in world.calls}
    wanted = {DAY.date() - timedelta(days=back) for back in ((0, 1, 2) if kind == "demo" else (1, 2))}
    assert days == wanted
