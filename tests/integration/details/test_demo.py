"""The losses of the demo: the report names the place of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock, World, demo_world
from pipeline.flow import Flow
from pipeline.serving import report
from pipeline.serving.report.sides import DOWNLINK, SERVER, UPLINK

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        pytest.param("uplink", UPLINK, marks=pytest.mark.slow),
        pytest.param("server", SERVER, marks=pytest.mark.slow),
        ("downlink", DOWNLINK),
    ],
)
def test_report_names_the_place_of_a_loss_in_the_demo(where: str, place: str, flow_for: Callable[..., Flow]) -> None:
    """In the smallest call in which somebody loses media there, while others are in it."""
    world = demo_world(TODAY, days=2)
    call, user = min(
        (
            (call, stay.user_id)
            for call in world.calls
            for stay in call.participants
            if {loss.where for loss in stay.losses} == {where} and len(call.participants) > 1
        ),
        key=lambda found: (len(found[0].participants), found[0].call_session_id),
    )
    assert call.ended_at is not None
    afterwards = ManualClock(call.ended_at + timedelta(days=2))
    day = call.started_at.date()
    with Emulator(World((call,), world.seed), clock=afterwards) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(day)
    stay = report.read_call(flow.settings.warehouse, call.call_session_id, user).stays[0]
    assert place in {found for way in stay.ways for _, places in way.places for found in places}
