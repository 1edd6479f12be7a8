"""Participant timelines end to end: what is requested, what is stored, and that nothing is asked twice."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import Emulator, EventSpec, Fault, ManualClock, WireFormat
from pipeline.flow import Flow
from tests.integration.details.worlds import AFTERWARDS, DAY, START, call, event, loss, world
from tests.support.flows import published, traces, writers_database

TIMELINE = "participant_timeline"
POOR = call("poor", framerate=3, minutes=90)
GOOD = call("good")


def asked(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the calls and users whose timelines were requested, sorted."""
    ids = [request.ids for request in emulator.requests if request.endpoint == TIMELINE]
    return sorted((one["call_id"], one["user_id"]) for one in ids)


def rows(flow: Flow, user: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of the table of events in the lake, all or those of a user."""
    found = flow.lake.read("timeline_events", DAY).to_pylist()
    return [row for row in found if user in (None, row["user_id"])]


def test_timelines_cost_nothing_while_details_are_off(flow_for: Callable[..., Flow]) -> None:
    """There is no request and no folder of raw responses, and the table is empty."""
    with Emulator(world(POOR, GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert emulator.count(TIMELINE) == 0
        assert not (flow.settings.raw / TIMELINE).exists()
        assert rows(flow) == []


@pytest.mark.slow
def test_wider_setting_asks_once_for_each_stay(flow_for: Callable[..., Flow]) -> None:
    """One request a stay, however long it lasted: of poor calls, then of all, then no other."""
    with Emulator(world(POOR, GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        people = ("host", "viewer-0", "viewer-1")
        for details, calls in {"off": (), "poor": ("poor",), "all": ("good",)}.items():
            emulator.clear_requests()
            flow_for(emulator, details=details).run(DAY)
            assert asked(emulator) == sorted((call, user) for call in calls for user in people)
        emulator.clear_requests()
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        assert emulator.count() == emulator.count("call_stats")
        assert {row["call_id"] for row in rows(flow)} == {"good", "poor"}


@pytest.mark.parametrize("form", [pytest.param("ns", marks=pytest.mark.slow), "rfc3339"])
def test_events_are_those_of_the_source(form: str, warehouse_setting: str, flow_for: Callable[..., Flow]) -> None:
    """Instants, types, severities and data are the source's, in a file and in a DuckLake."""
    events = (
        event(1.5, "network_changed", severity="warning", to={"kind": "cellular", "rtt": 1.5}, n=[1, None]),
        replace(event(2, "camera"), at=None),
        replace(event(3, "nothing more"), extra=(("data", None), ("severity", None))),
        event(-5, "ringing"),
    )
    spec = world(call("a", events={"viewer-0": events}, losses={"viewer-0": loss("downlink")}))
    with Emulator(spec, clock=ManualClock(AFTERWARDS), wire=WireFormat(datetimes=form)) as emulator:
        flow = flow_for(emulator, details="all", warehouse_file=warehouse_setting)
        flow.run(DAY)
        every, found = rows(flow), rows(flow, "viewer-0")
        stored = published(flow, "timeline_events")
    end = START + timedelta(minutes=20)
    assert [(row["timestamp"], row["type"], row["severity"], row["data"]) for row in found] == [
        (START - timedelta(minutes=5), "ringing", "info", "{}"),
        (START, "participant_joined", "info", "{}"),
        (
            START + timedelta(seconds=90),
            "network_changed",
            "warning",
            '{"to":{"kind":"cellular","rtt":1.5},"n":[1,null]}',
        ),
        (START + timedelta(minutes=3), "nothing more", None, None),
        (
            START + timedelta(minutes=5),
            "packet_loss",
            "critical",
            '{"where":"downlink","packet_loss_percent":50.0}',
        ),
        (end, "participant_left", "info", "{}"),
        (None, "camera", "info", "{}"),
    ]
    ids = {(row["call_type"], row["call_id"], row["call_session_id"], row["user_session_id"]) for row in found}
    assert ids == {("default", "a", "a-1", "viewer-0-1")}
    assert stored == Counter(tuple(row.values()) for row in every)


@pytest.mark.slow
def test_event_that_the_source_forgets_stays(flow_for: Callable[..., Flow]) -> None:
    """Of a stay that got longer, the timeline is requested again: earlier events stay, and none is there twice."""
    clock = ManualClock(AFTERWARDS)
    short = call("a", events={"host": (event(1, "first"), event(2, "both", n=1))})
    (host, *others) = short.participants
    later = replace(host, left_at=START + timedelta(minutes=25), events=(event(2, "both", n=2), event(3, "second")))
    longer = replace(short, participants=(later, *others), reports=(timedelta(days=3),))
    with Emulator(world(short), clock=clock) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
    clock.now = AFTERWARDS + timedelta(days=3)
    with Emulator(world(longer), clock=clock) as emulator:
        again = flow_for(emulator, details="all")
        again.run(DAY)
        assert ("a", "host") in asked(emulator)
        found = [(row["type"], row["data"]) for row in rows(again, "host")]
        assert [one for one in found if one[0] in ("first", "both", "second")] == [
            ("first", "{}"),
            ("both", '{"n":2}'),
            ("second", "{}"),
        ]
        assert len(found) == len(set(found)) + 1 == 7  # the camera left later too: it has left twice


@pytest.mark.parametrize("kind", ["forbidden", "not_found"])
def test_refusal_for_one_stay_is_noted_and_does_not_stop_the_others(
    kind: str, flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """A stay that the source has no timeline of is not requested again, and the day is complete."""
    fault = Fault(kind, TIMELINE, match={"user_id": "viewer-1"})
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator, details="all")
        with caplog.at_level(logging.INFO, logger="pipeline"):
            flow.run(DAY)
        flow.run(DAY)
        assert emulator.count(TIMELINE) == 3
        assert {row["user_id"] for row in rows(flow)} == {"host", "viewer-0"}
        assert flow.completeness(DAY).is_complete
        status = 403 if kind == "forbidden" else 404
        assert f"the source does not give the timelines of 1 stay (HTTP {status})" in caplog.text
        refused = flow.landing.index(TIMELINE, DAY).filter(
            flow.landing.index(TIMELINE, DAY).column("user_id").to_numpy(zero_copy_only=False) == "viewer-1"
        )
        assert refused.column("status").to_pylist() == [status]


def test_timelines_that_fail_are_requested_by_the_next_run(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and the day is complete even so. A body without events is a failure too."""
    faults = tuple(Fault(kind, TIMELINE, match={"user_id": user}) for kind, user in
                   {"server_error": "viewer-1", "wrong_shape": "viewer-0"}.items())  # fmt: skip
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS), faults=faults) as emulator:
        flow = flow_for(emulator, details="all")
        with caplog.at_level(logging.WARNING):
            flow.run(DAY)
        assert "the timelines of 2 stays could not be fetched" in caplog.text
        assert flow.completeness(DAY).is_complete
        emulator.clear_faults()
        emulator.clear_requests()
        flow.run(DAY)
        assert asked(emulator) == [("good", "viewer-0"), ("good", "viewer-1")]


def test_erased_person_is_gone_from_all_timelines(flow_for: Callable[..., Flow]) -> None:
    """Their own timeline goes, and events of others that name them, now and in what lands later."""
    named = (event(4, "subscribed", publisher="host"), event(5, "subscribed", track="host:video"), event(6, "muted"))
    spec = call("a", events={"viewer-0": named})
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        assert len(rows(flow, "viewer-0")) == 5
        flow_for(emulator).forget("host")
        assert {row["user_id"] for row in rows(flow)} == {"viewer-0", "viewer-1"}
        kept = ["participant_joined", "muted", "participant_left"]
        assert [row["type"] for row in rows(flow, "viewer-0")] == kept
        assert traces(flow.settings.data, "host") == []


@pytest.mark.slow
def test_erased_person_does_not_land_later(flow_for: Callable[..., Flow]) -> None:
    """Timelines that are fetched after the erasure land without the person."""
    spec = call("a", events={"viewer-0": (event(4, "subscribed", publishers=[{"id": "host"}]),)})
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator).run(DAY)
        flow = flow_for(emulator, details="all")
        flow.forget("host")
        flow.run(DAY)
        assert asked(emulator) == [("a", "viewer-0"), ("a", "viewer-1")]
        assert "subscribed" not in {row["type"] for row in rows(flow)}
        assert traces(flow.settings.data, "host") == []


def test_addresses_in_events_do_not_land(flow_for: Callable[..., Flow]) -> None:
    """With CALL_METRICS_CLIENT_IP=drop no address is on the disk, wherever an event had it."""
    ice = event(4, "ice", candidate="candidate:1 1 udp 2122 203.0.113.77 5000 typ host", peers=["203.0.113.78"])
    with Emulator(world(call("a", events={"host": (ice,)})), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all", client_ip="drop")
        flow.run(DAY)
        (data,) = [json.loads(row["data"]) for row in rows(flow, "host") if row["type"] == "ice"]
        assert data == {"candidate": "candidate:1 1 udp 2122  5000 typ host", "peers": [None]}
        assert traces(flow.settings.data, "203.0.113") == []


@pytest.mark.slow
def test_folder_without_the_table_is_upgraded(flow_for: Callable[..., Flow]) -> None:
    """Files and a database from before the table existed get it with the next load, without a request to the source."""
    with Emulator(world(GOOD), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        events = rows(flow)
        Path(flow.lake.path("timeline_events", DAY)).unlink()
        with writers_database(flow) as database:
            database.execute("DROP TABLE timeline_events")
            database.execute("UPDATE store.meta SET value = '6' WHERE name = 'version'")
        emulator.clear_requests()
        later = flow_for(emulator)
        later.run(DAY)
        assert rows(later) == events != []
        assert len(published(later, "timeline_events")) == len(events)
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}


def test_rebuild_makes_the_same_rows_without_the_source(flow_for: Callable[..., Flow]) -> None:
    """Narrower settings keep what has landed, also if the day is built again."""
    with Emulator(world(POOR), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator, details="all").run(DAY)
        flow = flow_for(emulator)
        before = rows(flow)
        emulator.clear_requests()
        flow.rebuild([DAY])
        assert rows(flow) == before != []
        assert emulator.count() == 0


def test_unknown_field_of_an_event_is_named(flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture) -> None:
    """The data of an event are free: only fields beside them count as unknown."""
    odd = EventSpec(START, "odd", data=(("anything", 1),), extra=(("colour", "red"),))
    with Emulator(world(call("a", events={"host": (odd,)})), clock=ManualClock(AFTERWARDS)) as emulator:
        with caplog.at_level(logging.WARNING):
            flow_for(emulator, details="all").run(DAY)
        assert "events[].colour (1)" in caplog.text
        assert "anything" not in caplog.text
