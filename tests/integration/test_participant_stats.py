"""Participant statistics: users who published nothing cost no request for metrics, and their columns are kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.emulator import CallSpec, ClientSpec, Emulator, Fault, ManualClock, Points, StaySpec, TrackSpec, World
from pipeline.extract.client import MAX_ATTEMPTS, StreamApi
from pipeline.extract.steps import PROBE_CALLS
from pipeline.flow import Flow
from pipeline.model import Request, Response
from tests.support.flows import assert_published, published

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
AFTERWARDS = START + timedelta(days=2)


def stay(user: str, *, until: datetime, publishes: bool = False, **given: Any) -> StaySpec:
    """Return someone who stays to the end."""
    talk = Points.every(60, START, bitrate=tuple(range(int((until - START) / timedelta(minutes=1)))))
    tracks = (TrackSpec("mic", "audio", "opus", talk),) if publishes else ()
    return StaySpec(user, f"{user}-1", joined_at=START, left_at=until, tracks=tracks, **given)


def call(name: str, *, hosts: int = 1, viewers: int = 2, minutes: int = 50, **given: Any) -> CallSpec:
    """Return a livestream of hosts who talk and viewers who do not."""
    end = START + timedelta(minutes=minutes)
    people = (
        *(stay(f"host-{number}", until=end, publishes=True) for number in range(hosts)),
        *(
            stay(
                f"viewer-{number}",
                until=end,
                client=ClientSpec(name="web", version="1.8.0", network_type="wifi"),
                latency_ms=40,
                jitter_ms=3,
                freezes_duration_ms=120,
                cq_score=91,
            )
            for number in range(viewers)
        ),
    )
    return CallSpec("livestream", name, f"{name}-1", started_at=START, ended_at=end, participants=people, **given)


def metrics_requested(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the calls and users whose metrics were requested, sorted."""
    ids = [request.ids for request in emulator.requests if request.endpoint == "participant_metrics"]
    return sorted((one["call_id"], one["user_id"]) for one in ids)


@pytest.mark.slow
def test_livestream_of_5000_viewers_costs_little_more_than_its_listings(flow_for: Callable[..., Flow]) -> None:
    """Two hosts for three hours cost twelve windows and the pages that list everyone, and viewers cost nothing."""
    world = World((call("stream", hosts=2, viewers=5_000, minutes=180),))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        pages = -(-5_002 // 100)
        assert flow.requests_sent == {
            "call_stats": 1,
            "participant_sessions": pages,
            "participant_stats": pages,
            "participant_metrics": 2 * 6,
        }
        assert flow.completeness(DAY).is_complete
        assert_published(flow, emulator.expected_rows())
        emulator.clear_requests()
        flow.run(DAY)
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}


def test_viewers_have_client_and_connection_without_metrics(flow_for: Callable[..., Flow]) -> None:
    """Statistics about a viewer are in participant_sessions, and no window of theirs should exist."""
    with Emulator(World((call("a"),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert metrics_requested(emulator) == [("a", "host-0")] * 2
        rows = flow.lake.read("participant_sessions", DAY).to_pylist()
        viewer = next(row for row in rows if row["user_id"] == "viewer-1")
        stats = {name: viewer[name] for name in ("sdk", "latency_ms", "jitter_ms", "freezes_duration_ms", "cq_score")}
        assert stats == {"sdk": "web", "latency_ms": 40, "jitter_ms": 3, "freezes_duration_ms": 120, "cq_score": 91}
        assert (viewer["is_publisher"], viewer["published_audio"], viewer["client_name"]) == (False, False, None)
        host = next(row for row in rows if row["user_id"] == "host-0")
        assert (host["is_publisher"], host["published_audio"], host["published_video"]) == (True, True, False)
        assert {row[4] for row in published(flow, "windows")} == {"host-0"}


@pytest.mark.parametrize("kind", ["forbidden", "not_found"])
def test_app_without_statistics_costs_one_window_per_viewer(kind: str, flow_for: Callable[..., Flow]) -> None:
    """After a few refusals the endpoint is not used again, and a user who published nothing costs one window."""
    world = World(tuple(call(f"call-{number}") for number in range(PROBE_CALLS + 2)))
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(Fault(kind, "participant_stats"),)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert emulator.count("participant_stats") == PROBE_CALLS
        assert emulator.count("participant_metrics") == (PROBE_CALLS + 2) * (2 + 1 + 1)
        assert_published(flow, emulator.expected_rows())
        assert flow.completeness(DAY).is_complete
        emulator.clear_requests()
        flow.run(DAY)
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}


def test_refusal_for_one_call_does_not_affect_the_others(flow_for: Callable[..., Flow]) -> None:
    """A 404 for one call does not mean that the app has no statistics."""
    world = World(tuple(call(f"call-{number}") for number in range(PROBE_CALLS + 2)))
    refused = Fault("not_found", "participant_stats", match={"call_id": "call-0"})
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(refused,)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert {user for of, user in metrics_requested(emulator) if of == "call-0"} == {
            "host-0",
            "viewer-0",
            "viewer-1",
        }
        assert {user for of, user in metrics_requested(emulator) if of != "call-0"} == {"host-0"}


def test_statistics_that_fail_are_requested_by_the_next_run(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """Meanwhile the first window counts, and windows that have landed stay in the table."""
    broken = Fault("server_error", "participant_stats")
    with Emulator(World((call("a"),)), clock=ManualClock(AFTERWARDS), faults=(broken,)) as emulator:
        flow = flow_for(emulator)
        with caplog.at_level(logging.WARNING):
            failures = [*flow.extract.call_stats(DAY).failures, *flow.extract.participant_sessions(DAY).failures]
            failures += flow.extract.participant_stats(DAY).failures
        assert len(failures) == 1
        assert "participant_stats" in failures[0]
        flow.run(DAY)
        windows = published(flow, "windows")
        assert {row[4] for row in windows} == {"host-0", "viewer-0", "viewer-1"}
        emulator.clear_faults()
        emulator.clear_requests()
        flow.run(DAY)
        assert {request.endpoint for request in emulator.requests} == {"call_stats", "participant_stats"}
        assert published(flow, "windows") == windows
        assert {row["latency_ms"] for row in flow.lake.read("participant_sessions", DAY).to_pylist()} == {40, None}


def test_statistics_with_too_few_publishers_are_not_trusted(flow_for: Callable[..., Flow]) -> None:
    """If call_stats count more publishers than the statistics name, everyone's first window is requested."""
    end = START + timedelta(minutes=50)
    rejoins = stay("host", until=end, publishes=True)
    again = replace(rejoins, user_session_id="host-2")  # one user who published, twice
    unflagged = StaySpec(
        "shy",
        "shy-1",
        joined_at=START,
        left_at=end,
        tracks=(TrackSpec("odd", "hologram", "av1", Points.every(60, START, bitrate=(1, 2, 3))),),
    )  # of a kind of track that the statistics have no flag for
    odd = CallSpec("default", "odd", "odd-1", started_at=START, ended_at=end, participants=(unflagged, rejoins, again))
    with Emulator(World((odd, call("a"))), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert ("odd", "shy") in metrics_requested(emulator)
        assert_published(flow, emulator.expected_rows())


@pytest.mark.parametrize("shape", ["list", "string"])
def test_statistics_of_another_shape_are_reported(
    shape: str, flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and metrics are requested as if there were none."""
    garbled = Fault("wrong_shape", "participant_stats", shape=shape)
    with Emulator(World((call("a"),)), clock=ManualClock(AFTERWARDS), faults=(garbled,)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert "participant statistics of 1 call could not be fetched (the response does not have" in caplog.text
        assert {user for _, user in metrics_requested(emulator)} == {"host-0", "viewer-0", "viewer-1"}


def test_statistics_of_live_calls_are_not_requested(flow_for: Callable[..., Flow]) -> None:
    """A user who has published nothing so far may still publish, so everyone's windows are requested until the end."""
    clock = ManualClock(START + timedelta(minutes=40))
    with Emulator(World((call("a"),)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert emulator.count("participant_stats") == 0
        assert {user for _, user in metrics_requested(emulator)} == {"host-0", "viewer-0", "viewer-1"}
        emulator.clear_requests()
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert metrics_requested(emulator) == [("a", "host-0")] * 2
        assert_published(flow, emulator.expected_rows())


def test_statistics_are_requested_again_after_a_newer_report(flow_for: Callable[..., Flow]) -> None:
    """Statistics from before the report do not say who published nothing."""
    clock = ManualClock(START + timedelta(hours=2))
    late = call("late", reports=(timedelta(minutes=2), timedelta(hours=20)))
    with Emulator(World((late,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        emulator.clear_requests()
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert emulator.count("participant_stats") == 1
        assert metrics_requested(emulator) == [("late", "host-0")] * 2


def test_erased_viewer_is_removed_from_statistics(flow_for: Callable[..., Flow]) -> None:
    """Erasing a person removes them from pages that have landed, and from those that land later."""
    clock = ManualClock(START + timedelta(hours=2))
    late = call("late", reports=(timedelta(minutes=2), timedelta(hours=20)))
    with Emulator(World((late,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        flow.forget("viewer-1")
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert emulator.count("participant_stats") == 2
        assert {row[4] for row in published(flow, "participant_sessions")} == {"host-0", "viewer-0"}
        assert flow.completeness(DAY).is_complete
        everything = [path.read_bytes() for path in flow.settings.data.rglob("*") if path.is_file()]
        bodies = [
            row["body"]
            for endpoint in ("participant_sessions", "participant_stats")
            for path in flow.landing.segments(endpoint, DAY)
            for row in _rows(path)
        ]
        assert bodies
        assert not any("viewer-1" in body for body in bodies)
        assert not any(b"viewer-1" in content for content in everything)


def _rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def test_user_who_published_later_has_all_windows(flow_for: Callable[..., Flow]) -> None:
    """Statistics that name a publisher outweigh a first half hour without tracks."""
    end = START + timedelta(hours=2)
    talk = Points.every(60, START + timedelta(hours=1), bitrate=tuple(range(60)))
    late = StaySpec(
        "ann",
        "ann-1",
        joined_at=START,
        left_at=end,
        is_publisher=False,  # as of the window, not of the stay
        tracks=(TrackSpec("mic", "audio", "opus", talk),),
    )
    spec = CallSpec("default", "late", "late-1", started_at=START, ended_at=end, participants=(late,))
    with Emulator(World((spec,)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert sum(published(flow, "metric_points").values()) == 60


def test_erased_publisher_leaves_the_call_complete(flow_for: Callable[..., Flow]) -> None:
    """call_stats still count the publisher, and the statistics of the others are still trusted."""
    with Emulator(World((call("a", hosts=2),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        flow.forget("host-1")
        assert flow.completeness(DAY).is_complete
        emulator.clear_requests()
        flow.run(DAY)
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}


def test_statistics_that_are_down_are_tried_for_one_call(flow_for: Callable[..., Flow]) -> None:
    """The run does not wait for every call to fail in turn."""
    world = World(tuple(call(f"call-{number}") for number in range(5)))
    with Emulator(
        world, clock=ManualClock(AFTERWARDS), faults=(Fault("server_error", "participant_stats"),)
    ) as emulator:
        flow_for(emulator).run(DAY)
        assert emulator.count("participant_stats") == MAX_ATTEMPTS


def test_credentials_that_only_the_statistics_refuse_are_no_error(flow_for: Callable[..., Flow]) -> None:
    """An app may not have statistics, and the other endpoints accepted the same key."""
    with Emulator(
        World((call("a"),)), clock=ManualClock(AFTERWARDS), faults=(Fault("unauthorized", "participant_stats"),)
    ) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert_published(flow, emulator.expected_rows())


def test_statistics_are_not_trusted_without_a_count_of_publishers(flow_for: Callable[..., Flow]) -> None:
    """If call_stats do not say how many published, everyone's first window is requested."""
    with Emulator(World((call("a", omit=frozenset({"counts"})),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator).run(DAY)
        assert {user for _, user in metrics_requested(emulator)} == {"host-0", "viewer-0", "viewer-1"}


def test_statistics_with_an_unlisted_publisher_are_not_trusted(flow_for: Callable[..., Flow]) -> None:
    """A publisher who is not in the list of participants does not replace one whom the statistics lack."""
    stranger = {"user_session_id": "ghost-1", "is_live": False, "published_tracks": {"audio": True}}

    class WrongStats(StreamApi):
        async def fetch(self, request: Request) -> Response:
            response = await super().fetch(request)
            if request.endpoint != "participant_stats":
                return response
            page = json.loads(response.body.replace('"audio":true', '"audio":false'))
            page["participants"].append({"user_id": "ghost", "sessions": [stranger]})
            return replace(response, body=json.dumps(page))

    with Emulator(World((call("a"),)), clock=ManualClock(AFTERWARDS)) as emulator:
        settings = flow_for(emulator).settings
        with Flow(settings, connect=lambda of: WrongStats(of.base_url, of.credentials())) as flow:
            flow.run(DAY)
            assert published(flow, "metric_points")
            assert ("a", "host-0") in metrics_requested(emulator)
