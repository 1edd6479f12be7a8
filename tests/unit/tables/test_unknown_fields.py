"""Fields that the API adds are noticed, in the answers of every endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock, demo_world
from pipeline.endpoints import ENDPOINT_NAMES, EndpointName
from pipeline.flow import Flow
from pipeline.tables.unknown_fields import unknown_fields
from tests.support import DAY, at
from tests.support.flows import run


@pytest.mark.parametrize(
    ("endpoint", "answer", "new"),
    [
        (
            "call_stats",
            {"call_stats": [{"region": "eu", "counts": {"reactions": 1}}]},
            "call_stats[].region call_stats[].counts.reactions",
        ),
        (
            "participant_sessions",
            {"participants_sessions": [{"device": 1}], "total": 1},
            "participants_sessions[].device total",
        ),
        ("participant_sessions", {"session": {"whatever": 1}}, ""),
        (
            "participant_stats",
            {"participants": [{"sessions": [{"battery": 1, "location": {"zip": 1}}]}]},
            "participants[].sessions[].battery participants[].sessions[].location.zip",
        ),
        ("participant_metrics", {"client": {"os": 1, "location": {"zip": 1}}}, "client.os client.location.zip"),
        ("participant_metrics", {"published_tracks": [{}, {"qp": 1}, {"qp": 2}]}, "published_tracks[].qp"),
        ("participant_metrics", {"published_tracks": None, "client": 5}, ""),
        ("participant_metrics", [{"x": 1}], "[].x"),
        ("participant_metrics", "text", ""),
    ],
)
def test_a_new_field_is_named_by_where_it_is(endpoint: EndpointName, answer: object, new: str) -> None:
    """Once, however many elements have it; other shapes than expected are no error."""
    assert unknown_fields(endpoint, json.dumps(answer)) == set(new.split())


@pytest.mark.parametrize("text", ["", "<html>", "{", "[" * 100_000, '"text"'])
def test_what_is_no_document_has_no_fields(text: str) -> None:
    """It is told of elsewhere."""
    assert unknown_fields("participant_metrics", text) == set()


def test_nothing_of_an_ordinary_day_is_new(flow_for: Callable[..., Flow]) -> None:
    """The emulator answers by the documentation; every endpoint's fields are in the specification."""
    today = DAY + timedelta(days=1)
    with Emulator(demo_world(today, days=1), clock=ManualClock(at(24 + 12))) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert all(flow.landing.segments(endpoint, DAY) for endpoint in ENDPOINT_NAMES)
        assert flow.build_tables(DAY, rebuild=True).unknown_fields == {}
