"""Completeness of what was fetched: 404s, promised stays, and the table of call sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from pipeline.emulator import Emulator, Fault, ManualClock, WireFormat, World
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.model import Request, Response
from tests.support.flows import AFTERWARDS, DAY, START, WORLD, assert_published, call, published


def test_participant_with_404_is_gone_and_not_requested_again(flow_for: Callable[..., Flow]) -> None:
    """The window is recorded as `gone`, the day is complete, and other stays are not affected."""
    gone = Fault("not_found", "participant_metrics", match={"user_session_id": "a-1"})
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(gone,)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        states = {(row[5], row[8]) for row in published(flow, "windows")}
        assert ("a-1", "gone") in states
        assert ("a-0", "landed") in states
        assert flow.completeness(DAY).is_complete
        emulator.clear_requests()
        flow.run(DAY)
        assert emulator.count("participant_metrics") == 0


def test_404_after_a_newer_report_removes_nothing(flow_for: Callable[..., Flow]) -> None:
    """What an earlier response gave stays, and its windows remain landed."""
    late = call("late", minutes=50, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(World((late,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        before = published(flow, "metric_points")
        clock.now = AFTERWARDS
        emulator.add_faults(Fault("not_found", "participant_metrics"))
        flow.run(DAY)
        assert published(flow, "metric_points") == before
        assert {row[8] for row in published(flow, "windows")} == {"landed"}


def test_every_call_has_a_row_that_says_what_is_stored(flow_for: Callable[..., Flow]) -> None:
    """The row has counts of stays, windows and points, their unit, the expiry, and a hash over raw responses."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), wire=WireFormat(unit="ms")) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        first = flow.certificates(DAY)
        a, b = first
        assert (a["call_id"], a["stays_promised"], a["stays_held"]) == ("a", 2, 2)
        assert (a["windows_expected"], a["windows_landed"], a["timestamp_units"]) == (4, 4, "ms")
        # 50 minutes at 30 seconds are 101 instants with the one at the end, of which Points gives 100; the one at
        # 30 minutes is on the edge of two windows and counts in both.
        assert a["points"] == 2 * (100 + 1)
        assert a["forgotten_at"] == START + timedelta(minutes=50, days=90)
        assert a["is_complete"]
        assert b["is_complete"]
        assert a["raw_sha256"] != b["raw_sha256"]
        assert {row[1:4] for row in published(flow, "ingest_completeness_by_call")} == {
            ("default", "a", "a-1"),
            ("default", "b", "b-1"),
        }
        flow.build_tables(DAY, rebuild=True)
        assert flow.certificates(DAY) == first


def test_stays_that_the_source_counts_but_does_not_list_are_missing(flow_for: Callable[..., Flow]) -> None:
    """The day is incomplete, and the next run lists the participants again."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        fault = Fault("shrunken", "participant_sessions", match={"call_id": "a"})
        emulator.add_faults(fault)
        flow = flow_for(emulator)
        flow.run(DAY)
        assert list(map(str, flow.completeness(DAY).problems)) == ["0 of 2 stays of default:a (session a-1) are stored"]
        assert not flow.certificates(DAY)[0]["is_complete"]
        emulator.clear_faults()
        flow.run(DAY)
        assert flow.completeness(DAY).is_complete
        assert_published(flow, emulator.expected_rows())


def test_empty_list_without_a_total_does_not_complete_a_call(flow_for: Callable[..., Flow]) -> None:
    """The count of user sessions in call_stats counts as promised too."""
    world = World((call("a", minutes=50),))

    class EmptyList(StreamApi):
        async def fetch(self, request: Request) -> Response:
            response = await super().fetch(request)
            if request.endpoint == "participant_sessions":
                return replace(response, body='{"participants_sessions": []}')
            return response

    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = flow_for(emulator).settings
        with Flow(settings, connect=lambda of: EmptyList(of.base_url, of.credentials())) as flow:
            flow.run(DAY)
            assert [str(problem) for problem in flow.completeness(DAY).problems] == [
                "0 of 1 stays of default:a (session a-1) are stored"
            ]
            assert not flow.certificates(DAY)[0]["is_complete"]
