"""Ratings: they reach the day of their call session, late ones too, are fetched once, and forgotten with the person."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.emulator import CallSpec, ClientSpec, Emulator, Fault, ManualClock, RatingSpec, StaySpec, World
from pipeline.errors import Interrupted
from pipeline.extract.client import MAX_ATTEMPTS, StreamApi
from pipeline.extract.steps import PROBE_CALLS
from pipeline.flow import Flow
from pipeline.model import Request, Response
from tests.support.flows import published, traces

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
END = START + timedelta(minutes=50)
NEXT_MORNING = START + timedelta(hours=16)
AFTERWARDS = END + timedelta(days=2, hours=1)


def person(user: str, *ratings: RatingSpec) -> StaySpec:
    """Return someone who stays for the whole call, publishes nothing, and rates it."""
    client = ClientSpec(name="web", version="1.8.0")
    return StaySpec(user, f"{user}-1", joined_at=START, left_at=END, client=client, ratings=ratings)


def rating(stars: int, reason: str = "", *, after: timedelta = timedelta(minutes=1), **custom: object) -> RatingSpec:
    """Return a rating, given so long after the end of the call."""
    return RatingSpec(END + after, stars, reason, tuple(custom.items()))


def call(name: str, *people: StaySpec, **given: Any) -> CallSpec:
    """Return a call session."""
    return CallSpec("default", name, f"{name}-1", started_at=START, ended_at=END, participants=people, **given)


def rows(flow: Flow) -> list[tuple[Any, ...]]:
    """Return the ratings in the lake: call, user, number, stay, stars, reason."""
    names = ("call_id", "user_id", "rating_number", "user_session_id", "rating", "reason")
    return [tuple(row[name] for name in names) for row in flow.lake.read("user_ratings", DAY).to_pylist()]


@pytest.mark.slow
def test_ratings_are_the_same_in_a_lake(flow_for: Callable[..., Flow], lake_setting: str) -> None:
    """A lake has every column of every rating, and forgets them with the person."""
    world = World((call("a", person("ann", rating(2, "no sound", role="patient")), person("bob", rating(5))),))
    with Emulator(world, clock=ManualClock(NEXT_MORNING)) as emulator:
        flow_for(emulator).run(DAY)
        file = flow_for(emulator)
        lake = flow_for(emulator, warehouse_file=lake_setting)
        lake.load([DAY])
        assert published(lake, "user_ratings") == published(file, "user_ratings")
        assert len(published(lake, "user_ratings")) == 2
        lake.forget("ann")
        assert [row[4] for row in published(lake, "user_ratings")] == ["bob"]


def test_ratings_are_listed_once_and_only_for_rated_calls(flow_for: Callable[..., Flow]) -> None:
    """A call session without a rating costs no request, and the second run requests none."""
    people = [person(f"user-{number:03}", rating(1 + number % 5, after=timedelta(seconds=1))) for number in range(230)]
    world = World((call("big", *people), call("silent", person("zoe"))))
    with Emulator(world, clock=ManualClock(NEXT_MORNING)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert flow.requests_sent["user_feedback"] == 3
        assert [(row[1], row[4]) for row in rows(flow)] == [(one.user_id, one.ratings[0].rating) for one in people]
        assert sum(published(flow, "user_ratings").values()) == 230
        flow.run(DAY)
        assert flow.requests_sent["user_feedback"] == 3
        assert flow.completeness(DAY).is_complete


def test_rating_has_everything_that_was_sent(flow_for: Callable[..., Flow]) -> None:
    """Custom data and platform are JSON, as received."""
    world = World((call("a", person("ann", rating(2, "no sound", role="patient"))),))
    with Emulator(world, clock=ManualClock(NEXT_MORNING)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        (row,) = flow.lake.read("user_ratings", DAY).to_pylist()
        assert (row["sdk"], row["sdk_version"], row["custom"]) == ("web", "1.8.0", '{"role":"patient"}')
        assert row["platform"].startswith('{"browser":')
        assert NEXT_MORNING <= row["first_listed_at"] < NEXT_MORNING + timedelta(minutes=5)


def test_user_who_comes_back_or_changes_their_mind(flow_for: Callable[..., Flow]) -> None:
    """Equal ratings are one, others are numbered; of two stays, none is chosen."""
    ann = person("ann", rating(5), rating(3, "slow", after=timedelta(minutes=2)), rating(5, after=timedelta(minutes=3)))
    again = replace(person("bob", rating(4)), user_session_id="bob-2")
    with Emulator(World((call("a", ann, person("bob"), again),)), clock=ManualClock(NEXT_MORNING)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert rows(flow) == [
            ("a", "ann", 1, "ann-1", 5, ""),
            ("a", "ann", 2, "ann-1", 3, "slow"),
            ("a", "bob", 1, None, 4, ""),
        ]


def test_late_rating_reaches_the_day_of_its_call(flow_for: Callable[..., Flow]) -> None:
    """One after midnight comes with the next report, one that leaves the totals as they were with the last listing."""
    late = (rating(1, after=timedelta(hours=15)), rating(4, after=timedelta(hours=40)))
    spec = call(
        "a", person("ann", rating(3)), person("bob", late[0]), person("cy", late[1]), reports=(timedelta(hours=1),)
    )
    clock = ManualClock(NEXT_MORNING - timedelta(hours=2))
    with Emulator(World((spec,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert [row[1] for row in rows(flow)] == ["ann"]
        unchanged = flow.lake.fingerprint("metric_points", DAY)
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert [row[1] for row in rows(flow)] == ["ann", "bob", "cy"]
        assert emulator.count("user_feedback") == 2
        assert flow.lake.fingerprint("metric_points", DAY) == unchanged  # only the small table was built again
        flow.run(DAY)
        assert emulator.count("user_feedback") == 2


def test_ratings_are_listed_again_when_call_stats_report_others(flow_for: Callable[..., Flow]) -> None:
    """A new report with another average is reason enough."""
    reports = (timedelta(minutes=2), timedelta(hours=20))
    spec = call("a", person("ann", rating(3)), person("bob", rating(1, after=timedelta(hours=10))), reports=reports)
    clock = ManualClock(END + timedelta(hours=1))
    with Emulator(World((spec,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        clock.now = END + timedelta(hours=21)
        flow.run(DAY)
        assert [row[1] for row in rows(flow)] == ["ann", "bob"]


def test_rating_that_the_source_drops_stays(flow_for: Callable[..., Flow]) -> None:
    """An empty answer removes nothing."""
    clock = ManualClock(NEXT_MORNING)
    with Emulator(World((call("a", person("ann", rating(3))),)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        emulator.add_faults(Fault("shrunken", "user_feedback"))
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert emulator.count("user_feedback") == 2
        assert [row[1] for row in rows(flow)] == ["ann"]


@pytest.mark.parametrize("kind", ["forbidden", "not_found"])
def test_app_without_feedback_is_remembered(
    kind: str, flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """After a few refusals the endpoint is not used again for the day, and nothing is missing."""
    world = World(tuple(call(f"call-{number}", person("ann", rating(2))) for number in range(PROBE_CALLS + 2)))
    with Emulator(world, clock=ManualClock(NEXT_MORNING), faults=(Fault(kind, "user_feedback"),)) as emulator:
        flow = flow_for(emulator)
        with caplog.at_level(logging.WARNING):
            assert flow.run(DAY).is_complete
            flow.run(DAY)
        assert emulator.count("user_feedback") == PROBE_CALLS
        assert rows(flow) == []
        assert "ratings" not in caplog.text


def test_feedback_that_fails_is_requested_by_the_next_run(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so; the day is complete without."""
    faults = (Fault("server_error", "user_feedback"),)
    world = World((call("a", person("ann", rating(2))),))
    with Emulator(world, clock=ManualClock(NEXT_MORNING), faults=faults) as emulator:
        flow = flow_for(emulator)
        assert flow.run(DAY).is_complete
        assert emulator.count("user_feedback") == MAX_ATTEMPTS
        assert "the ratings of 1 call could not be fetched (HTTP 500)" in caplog.text
        emulator.clear_faults()
        flow.run(DAY)
        assert [row[1] for row in rows(flow)] == ["ann"]


def test_source_that_does_not_apply_the_filter_does_no_harm(flow_for: Callable[..., Flow]) -> None:
    """Ratings of other call sessions are left out."""

    class Unfiltered(StreamApi):
        async def fetch(self, request: Request) -> Response:
            response = await super().fetch(request)
            if request.endpoint != "user_feedback":
                return response
            return replace(response, body=response.body.replace('"session_id":"a-1"', '"session_id":"other"'))

    with Emulator(World((call("a", person("ann", rating(2))),)), clock=ManualClock(NEXT_MORNING)) as emulator:
        settings = flow_for(emulator).settings
        with Flow(settings, connect=lambda of: Unfiltered(of.base_url, of.credentials())) as flow:
            flow.run(DAY)
            assert rows(flow) == []


def test_run_that_ends_between_two_pages_resumes_with_the_next(flow_for: Callable[..., Flow]) -> None:
    """What has landed is not requested again."""
    people = [person(f"user-{number:03}", rating(3, after=timedelta(seconds=1))) for number in range(250)]

    class Dying(StreamApi):
        async def fetch(self, request: Request) -> Response:
            if request.endpoint == "user_feedback" and request.page == 1:
                raise Interrupted("stopped")
            return await super().fetch(request)

    with Emulator(World((call("a", *people),)), clock=ManualClock(NEXT_MORNING)) as emulator:
        whole = flow_for(emulator)
        dying = Flow(whole.settings, connect=lambda of: Dying(of.base_url, of.credentials()))
        with dying, pytest.raises(Interrupted):
            dying.run(DAY)
        whole.run(DAY)
        assert emulator.count("user_feedback") == 3
        assert len(rows(whole)) == 250


def test_forgotten_person_leaves_no_rating(flow_for: Callable[..., Flow]) -> None:
    """Neither what has landed nor what lands later has the rating, its text or its custom data."""
    clock = ManualClock(NEXT_MORNING)
    spec = call("a", person("ann", rating(3)), person("bob-id", rating(1, "call me", email="bob@example.com")))
    with Emulator(World((spec,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert traces(flow.settings.data, "bob@example.com")
        assert flow.forget("bob-id") == [DAY]
        assert [row[1] for row in rows(flow)] == ["ann"]
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert emulator.count("user_feedback") == 2
        assert [row[1] for row in rows(flow)] == ["ann"]
        assert not traces(flow.settings.data, "bob@example.com")
        assert not traces(flow.settings.data, "call me")


def test_ratings_are_in_a_lake_too(flow_for: Callable[..., Flow], lake_setting: str) -> None:
    """The other warehouse publishes the same table."""
    with Emulator(World((call("a", person("ann", rating(4))),)), clock=ManualClock(NEXT_MORNING)) as emulator:
        flow = flow_for(emulator, warehouse_file=lake_setting)
        flow.run(DAY)
        assert [row[4:8] for row in published(flow, "user_ratings")] == [("ann", 1, "ann-1", 4)]
