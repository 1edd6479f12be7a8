"""When details and timelines are requested: each stay once, when its call is settled, and no more after refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.emulator import Emulator, Fault, ManualClock
from pipeline.errors import Interrupted
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.model import Request, Response
from pipeline.planning.details import PROBES
from tests.integration.details.worlds import AFTERWARDS, DAY, START, call, world

LONG = call("long", minutes=90)
SHORT = call("short")
EXTRA = {"participant_details": "participant_timeline", "participant_timeline": "participant_details"}
"""The two endpoints, each with the other one."""


@pytest.fixture(params=list(EXTRA))
def endpoint(request: pytest.FixtureRequest) -> str:
    """Return one of the two endpoints."""
    return str(request.param)


def asked(emulator: Emulator, endpoint: str) -> list[tuple[object, ...]]:
    """Return the stays that were asked for, with the beginnings of their windows."""
    return [(*one.ids.values(), one.since) for one in emulator.requests if one.endpoint == endpoint]


def test_killed_run_resumes_without_asking_twice(endpoint: str, flow_for: Callable[..., Flow]) -> None:
    """What had landed when a run was interrupted is not requested again: details by the hour, timelines by the stay."""
    died_after, in_all = {"participant_details": (4, 9), "participant_timeline": (2, 6)}[endpoint]

    class Killed(StreamApi):
        async def fetch(self, request: Request) -> Response:
            if request.endpoint == endpoint and self.sent.get(endpoint, 0) == died_after:
                raise Interrupted("killed")
            return await super().fetch(request)

    with Emulator(world(LONG, SHORT), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all", concurrency=1)
        dying = Flow(
            flow.settings, connect=lambda settings: Killed(settings.base_url, settings.credentials(), concurrency=1)
        )
        with dying, pytest.raises(Interrupted):
            dying.run(DAY)
        assert emulator.count(endpoint) == died_after
        flow.run(DAY)
        assert emulator.count(endpoint) == len(set(asked(emulator, endpoint))) == in_all


def test_live_call_is_not_requested(endpoint: str, flow_for: Callable[..., Flow]) -> None:
    """A stay is requested once, when the report of its call is made."""
    clock = ManualClock(START.replace(minute=10))
    with Emulator(world(SHORT), clock=clock) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        assert emulator.count(endpoint) == 0
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert emulator.count(endpoint) == 3


@pytest.mark.parametrize("kind", ["forbidden", pytest.param("not_found", marks=pytest.mark.slow)])
def test_app_without_them_is_remembered(endpoint: str, kind: str, flow_for: Callable[..., Flow]) -> None:
    """After a few refusals no other stay is requested, not by the next run either; the other endpoint goes on."""
    calls = [call(f"call-{number}") for number in range(PROBES + 1)]
    with Emulator(world(*calls), clock=ManualClock(AFTERWARDS), faults=(Fault(kind, endpoint),)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        assert emulator.count(endpoint) == PROBES
        assert len({stay[:-1] for stay in asked(emulator, endpoint)}) == PROBES
        assert emulator.count(EXTRA[endpoint]) == 3 * len(calls)
        assert flow.completeness(DAY).is_complete
        flow.run(DAY)
        assert emulator.count(endpoint) == PROBES
