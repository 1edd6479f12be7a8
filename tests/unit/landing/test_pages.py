"""Usable responses of a day in order of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.landing.landing import Landing
from pipeline.landing.pages import read_pages, usable_responses
from tests.support import CALL, DAY, at
from tests.support.responses import FIRST, METRICS, attendance_page, failed_response, land, metrics_response


def test_usable_responses_keep_their_place_in_the_index(tmp_path: Path) -> None:
    """Responses with an error are left out."""
    landing = Landing(tmp_path)
    land(landing, [failed_response(FIRST, 500, "HTTP 500"), metrics_response(fetched_at=at(11)), metrics_response()])
    rows = usable_responses(landing.index(METRICS, DAY))
    assert rows.select(["place", "n"]).to_pylist() == [{"place": 1, "n": 0}, {"place": 2, "n": 2}]


def test_pages_have_their_bodies_in_order_of_time(tmp_path: Path) -> None:
    """Each page has its body, its call session, and when it was fetched."""
    landing = Landing(tmp_path)
    newer, older = (replace(attendance_page(fetched_at=at(hour)), body=f"body {hour}") for hour in (13, 12))
    land(landing, [newer], [older], endpoint="participant_sessions")
    found = read_pages(landing, "participant_sessions", DAY, landing.index("participant_sessions", DAY))
    assert found.column("body").to_pylist() == ["body 12", "body 13"]
    assert found.column("fetched_at").to_pylist() == [at(12), at(13)]
    assert found.column("call_id").to_pylist() == [CALL.call_id] * 2
