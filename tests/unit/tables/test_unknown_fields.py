"""Unknown fields: those that the API adds are found, in the responses of every endpoint."""

from __future__ import annotations

import json

import pytest

from pipeline.endpoints import EndpointName
from pipeline.tables.unknown_fields import unknown_fields


@pytest.mark.parametrize(
    ("endpoint", "response", "new"),
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
        (
            "user_feedback",
            {"user_feedback": [{"stars": 1, "platform": {"x": 1}, "custom": {"y": 1}}]},
            "user_feedback[].stars",
        ),
        ("participant_metrics", {"client": {"os": 1, "location": {"zip": 1}}}, "client.os client.location.zip"),
        ("participant_metrics", {"published_tracks": [{}, {"qp": 1}, {"qp": 2}]}, "published_tracks[].qp"),
        ("participant_metrics", {"published_tracks": None, "client": 5}, ""),
        ("participant_metrics", [{"x": 1}], "[].x"),
        ("participant_metrics", "text", ""),
    ],
)
def test_unknown_field_is_named_by_its_path(endpoint: EndpointName, response: object, new: str) -> None:
    """A field is named once however many elements have it, and other shapes than expected are no error."""
    assert unknown_fields(endpoint, json.dumps(response)) == set(new.split())


@pytest.mark.parametrize("text", ["", "<html>", "{", "[" * 100_000, '"text"'])
def test_text_that_is_not_a_json_document_has_no_unknown_fields(text: str) -> None:
    """Such a body is reported elsewhere."""
    assert unknown_fields("participant_metrics", text) == set()
