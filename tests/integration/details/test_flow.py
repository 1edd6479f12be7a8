"""Participant details end to end: what is requested, what is stored, and that nothing is asked twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import Emulator, Fault, ManualClock, WireFormat
from pipeline.flow import Flow
from tests.integration.details.worlds import AFTERWARDS, DAY, START, call, loss, world
from tests.support.flows import published, traces, writers_database

POOR = call("poor", framerate=3, minutes=90, losses={"host": loss("uplink")})
GOOD = call("good")
DETAILS = "participant_details"


def asked(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the calls and users whose details were requested, sorted."""
    ids = [request.ids for request in emulator.requests if request.endpoint == DETAILS]
    return sorted((one["call_id"], one["user_id"]) for one in ids)


def rows(flow: Flow) -> list[dict[str, Any]]:
    """Return the rows of the table of details in the lake."""
    return flow.lake.read("detail_points", DAY).to_pylist()


def test_details_cost_nothing_while_they_are_off(flow_for: Callable[..., Flow]) -> None:
    """There is no request and no folder of raw responses, and the table is empty."""
    with Emulator(world(POOR, GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert emulator.count(DETAILS) == 0
        assert not (flow.settings.raw / DETAILS).exists()
        assert rows(flow) == []
        assert flow.completeness(DAY).is_complete


def test_poor_fetches_only_calls_that_went_badly(flow_for: Callable[..., Flow]) -> None:
    """Everyone in the call with a poor publisher is requested, in windows of an hour, and no one else."""
    low = call("low", cq_score=20)
    with Emulator(world(POOR, GOOD, low), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="poor")
        flow.run(DAY)
        people = ("host", "viewer-0", "viewer-1")
        assert asked(emulator) == sorted([("poor", user) for user in people] * 2 + [("low", user) for user in people])
        assert {row["call_id"] for row in rows(flow)} == {"poor", "low"}
        assert len(published(flow, "detail_points")) == len(rows(flow)) > 0


@pytest.mark.slow
def test_wider_setting_asks_only_for_what_is_missing(flow_for: Callable[..., Flow]) -> None:
    """From off to poor to all, each day's run requests the rest; then nothing is left to request."""
    with Emulator(world(POOR, GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        counts = []
        for details in ("off", "poor", "all", "all"):
            emulator.clear_requests()
            flow_for(emulator, details=details).run(DAY)
            counts.append(emulator.count(DETAILS))
            extra = counts[-1] + emulator.count("participant_timeline")
            assert emulator.count() == extra + emulator.count("call_stats") or details == "off"
        assert counts == [0, 6, 3, 0]


@pytest.mark.slow
def test_narrower_setting_keeps_what_has_landed(flow_for: Callable[..., Flow]) -> None:
    """Details that are off again stay in the table, also if the day is built again."""
    with Emulator(world(POOR), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator, details="all").run(DAY)
        flow = flow_for(emulator)
        before = rows(flow)
        flow.run(DAY)
        assert rows(flow) == before
        flow.rebuild([DAY])
        assert rows(flow) == before != []


def test_refusal_for_one_stay_does_not_affect_the_others(flow_for: Callable[..., Flow]) -> None:
    """A stay that the source has no details of is not requested again."""
    fault = Fault("not_found", DETAILS, match={"user_id": "viewer-1"})
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        flow.run(DAY)
        assert emulator.count(DETAILS) == 3
        assert {row["user_id"] for row in rows(flow)} == {"host", "viewer-0"}


def test_details_that_fail_are_requested_by_the_next_run(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and the day is complete even so."""
    fault = Fault("server_error", DETAILS, match={"user_id": "viewer-1"})
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator, details="all")
        with caplog.at_level(logging.WARNING):
            flow.run(DAY)
        assert "1 window of participant details could not be fetched (HTTP 500)" in caplog.text
        assert flow.completeness(DAY).is_complete
        emulator.clear_faults()
        emulator.clear_requests()
        flow.run(DAY)
        assert asked(emulator) == [("good", "viewer-1")]


def test_erased_person_is_gone_from_both_sides(flow_for: Callable[..., Flow]) -> None:
    """An erased publisher is also gone from what others received of them, now and in what lands later."""
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        assert {row["publisher_user_id"] for row in rows(flow)} == {None, "host"}
        off = flow_for(emulator)
        off.forget("host")
        assert {row["user_id"] for row in rows(flow)} == {"viewer-0", "viewer-1"}
        assert {row["publisher_user_id"] for row in rows(flow)} == {None}
        assert traces(flow.settings.data, "host") == []


def test_erased_publisher_does_not_land_later(flow_for: Callable[..., Flow]) -> None:
    """Details that are fetched after the erasure land without the person."""
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator).run(DAY)
        flow = flow_for(emulator, details="all")
        flow.forget("host")
        flow.run(DAY)
        assert asked(emulator) == [("good", "viewer-0"), ("good", "viewer-1")]
        assert {row["user_id"] for row in rows(flow)} == {"viewer-0", "viewer-1"}
        assert traces(flow.settings.data, "host") == []


@pytest.mark.slow
def test_folder_without_the_table_is_upgraded(flow_for: Callable[..., Flow]) -> None:
    """Files and a database from before the table existed get it with the next load, without a request to the source."""
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        Path(flow.lake.path("detail_points", DAY)).unlink()
        with writers_database(flow) as database:
            database.execute("DROP TABLE detail_points")
            database.execute("UPDATE store.meta SET value = '5' WHERE name = 'version'")
        emulator.clear_requests()
        later = flow_for(emulator)
        later.run(DAY)
        assert rows(later) == [*published(later, "detail_points")] == []
        assert published(later, "call_sessions")
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}
        widened = flow_for(emulator, details="all")
        widened.run(DAY)
        assert len(published(widened, "detail_points")) == len(rows(widened)) > 0


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_values_are_those_of_the_source(unit: str, flow_for: Callable[..., Flow]) -> None:
    """Sent and received bitrates are the world's, at its instants, whatever the unit of the source's timestamps."""

    lossy = call("lossy", losses={"viewer-0": loss("downlink", 0.25)})
    with Emulator(world(lossy), clock=ManualClock(AFTERWARDS), wire=WireFormat(unit=unit)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        found = [row for row in rows(flow) if row["metric"] == "bitrate"]
        by_user = {
            user: [row["value"] for row in found if row["user_id"] == user] for user in ("host", "viewer-0", "viewer-1")
        }
        assert by_user["host"] == by_user["viewer-1"] == [1_000_000] * 120
        assert by_user["viewer-0"] == [1_000_000] * 30 + [750_000] * 30 + [1_000_000] * 60
        (first,) = {min(row["timestamp"] for row in found if row["user_id"] == user) for user in by_user}
        assert first == START
        assert {(row["unit"], row["label"], row["step_seconds"]) for row in found} == {("bps", "Bitrate", 1)}
        assert {row["side"] for row in found if row["user_id"] == "host"} == {"publisher"}
