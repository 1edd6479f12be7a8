"""Unknown fields of a day of the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pipeline.emulator import Emulator, ManualClock, demo_world
from pipeline.endpoints import DAILY_ENDPOINTS
from pipeline.flow import Flow
from tests.support import DAY, at


def test_day_of_the_emulator_has_no_unknown_fields(flow_for: Callable[..., Flow]) -> None:
    """The emulator follows the documentation, and every field that it sends is known."""
    today = DAY + timedelta(days=1)
    with Emulator(demo_world(today, days=1), clock=ManualClock(at(24 + 12))) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert all(flow.landing.segments(endpoint, DAY) for endpoint in DAILY_ENDPOINTS)
        assert flow.build_tables(DAY, rebuild=True).unknown_fields == {}
