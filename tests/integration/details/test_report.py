"""The report on a call with participant details: both sides on one time axis, and where it got lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, Fault, ManualClock
from pipeline.flow import Flow
from pipeline.serving import report
from pipeline.serving.report.sides import DOWNLINK, FINE, SERVER, UNKNOWN, UPLINK
from tests.integration.details.worlds import AFTERWARDS, DAY, START, call, event, loss, world


def ways(flow: Flow, user: str) -> dict[str, set[tuple[int, tuple[str, ...]]]]:
    """Return by viewer the minutes of the way from the host to them, and where it got lost, as a user's page says."""
    flow.run(DAY)
    (stay,) = report.read_call(flow.settings.warehouse, "a-1", user).stays
    return {
        f"{way.viewer}": {(round((minute - START).total_seconds() / 60), places) for minute, places in way.places}
        for way in stay.ways
    }


@pytest.mark.parametrize(("where", "place"), [("uplink", UPLINK), ("server", SERVER), ("downlink", DOWNLINK)])
def test_place_of_a_planted_loss_is_found(where: str, place: str, flow_for: Callable[..., Flow]) -> None:
    """What the host loses is lost for every viewer, what one viewer loses for that one only."""
    lossy = "viewer-0" if where == "downlink" else "host"
    with Emulator(world(call("a", losses={lossy: loss(where)})), clock=ManualClock(AFTERWARDS)) as emulator:
        found = ways(flow_for(emulator, details="all"), "host")
    lost = {(minute, (place,) if 5 <= minute < 10 else (FINE,)) for minute in range(20)}
    fine = {(minute, (FINE,)) for minute in range(20)}
    assert found == {"viewer-0": lost, "viewer-1": fine if where == "downlink" else lost}


def test_missing_side_is_unknown(flow_for: Callable[..., Flow]) -> None:
    """Without the publisher's side, nothing is said about where a loss was."""
    fault = Fault("not_found", "participant_details", match={"user_id": "host"})
    spec = call("a", losses={"host": loss("uplink")})
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        found = ways(flow_for(emulator, details="all"), "viewer-0")
    assert found == {"viewer-0": {(minute, (UNKNOWN,)) for minute in range(20)}}


def test_publisher_without_viewers_is_unknown(flow_for: Callable[..., Flow]) -> None:
    """What no viewer's details tell about is unknown too."""
    spec = call("a", losses={"host": loss("uplink")}, watching=0)
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        found = ways(flow_for(emulator, details="all"), "host")
    assert found == {"None": {(minute, (UNKNOWN,)) for minute in range(20)}}


@pytest.mark.parametrize("lake", [None, "file", "postgres"])
def test_page_has_both_sides_and_the_sentence(
    lake: str | None, flow_for: Callable[..., Flow], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A chart per stay with details, and sentences with the place, from a file and from a DuckLake."""
    given = {"warehouse_file": f"ducklake:{tmp_path / 'catalog.ducklake'}"} if lake else {}
    if lake == "postgres":
        given["warehouse_file"] = request.getfixturevalue("database").setting()
    spec = call("a", losses={"viewer-0": loss("downlink")})
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all", **given)
        flow.run(DAY)
        html = report.make(flow.settings.warehouse, "a-1", None, AFTERWARDS).html.decode()
    assert 'id="sides-1"' in html
    assert (
        "Video from host to viewer-0: lost on the subscriber&#39;s downlink in 5 of 20 minutes, first at 10:05" in html
    )
    assert "Video from host to viewer-1: nothing got lost in 20 minutes." in html


def test_page_without_details_has_no_such_section(flow_for: Callable[..., Flow]) -> None:
    """The page is as before if there are no details."""
    with Emulator(world(call("a")), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        html = report.make(flow.settings.warehouse, "a-1", None, AFTERWARDS).html.decode()
    assert "What the viewers saw" not in html
    assert 'id="sides-' not in html


@pytest.mark.parametrize("lake", [False, True])
def test_page_has_the_timeline_escaped(lake: bool, flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Kinds of events are a small table and marks on the chart; a type that is HTML stays text, also in the script."""
    given = {"warehouse_file": f"ducklake:{tmp_path / 'catalog.ducklake'}"} if lake else {}
    odd = "<script>alert(1)</script>"
    events = (
        *(event(minute, "reconnect", severity="warning", reason=f"ice {minute}") for minute in (3, 9)),
        event(4, odd, severity="<b>bad</b>", text="</script>" + "x" * 500),
        *(event(5, f"kind-{number}") for number in range(12)),
    )
    spec = call("a", events={"viewer-0": events})
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, details="all", **given)
        flow.run(DAY)
        html = report.make(flow.settings.warehouse, "a-1", "viewer-0", AFTERWARDS).html.decode()
    assert "Timeline of the user, as Stream tells it" in html
    assert '<time datetime="2026-03-01T10:03:00+00:00">10:03:00</time> – <time' in html
    assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>" in html
    assert odd not in html
    assert "x" * 101 not in html
    assert "4 more kinds of events are in the table <code>timeline_events</code>" in html
    (chart,) = [json.loads(part) for part in re.findall(r'id="figures">(.*?)</script>', html)]
    marks = [trace for trace in chart["sides-1"]["data"] if trace["name"].startswith("event: ")]
    assert [trace["name"] for trace in marks] == ["event: &lt;b&gt;bad&lt;/b&gt;", "event: info", "event: warning"]
    assert sum(len(trace["x"]) for trace in marks) == len(events) + 2
    assert len({trace["marker"]["symbol"] for trace in marks}) == 3


def test_page_without_details_but_with_a_timeline_has_the_table(flow_for: Callable[..., Flow]) -> None:
    """An app can have timelines and no details: then there is no chart to mark."""
    fault = Fault("forbidden", "participant_details")
    with Emulator(world(call("a")), clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator, details="all")
        flow.run(DAY)
        html = report.make(flow.settings.warehouse, "a-1", None, AFTERWARDS).html.decode()
    assert "What happened to the user" in html
    assert "<bdi>participant_joined</bdi>" in html
    assert "What the viewers saw" not in html
    assert 'id="sides-' not in html
