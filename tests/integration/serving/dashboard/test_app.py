"""The pages of the dashboard, as Streamlit runs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator import (
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    World,
    uniform_world,
)
from pipeline.flow import Flow
from pipeline.serving import report
from tests.support.dashboard import DAY, WORLD, page
from tests.support.flows import days_from, run


@pytest.mark.slow
def test_pages_show_what_is_published(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages open without an error, with the figures of the day, and the reader can look into a call."""
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(published))
    overview, worst, segments, call = map(page, ("Overview", "Worst calls", "Who has poor quality", "A call"))
    incidents = page("Incidents")
    for shown in (overview, worst, incidents, segments, call):
        assert (list(shown.exception), list(shown.error), list(shown.warning)) == ([], [], [])
        assert {markdown.value for markdown in shown.markdown} <= {"**People**", "**Tracks**"}
    assert {metric.label: metric.value for metric in overview.metric} == {
        "Calls": "2",
        "People": "4",
        "Poor publishers": "0 %",
        "Complete calls": "100 %",
    }
    assert [info.value for info in worst.info] == [
        "No call has a poor publisher in these days. The overview shows how many could be judged."
    ]
    assert [info.value for info in incidents.info] == ["No incident was found in these days."]
    segments.selectbox[0].set_value("Codec").run()
    assert "Codec" in segments.dataframe[0].proto.columns
    call.selectbox[0].select_index(1).run()
    assert (list(call.exception), list(call.error)) == ([], [])
    assert [header.value for header in call.subheader] == [call.selectbox[0].options[1].split(" ")[-1]]


def test_pages_say_what_is_missing_and_do_not_count_it_as_good(
    flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose metrics cannot be fetched: the overview and the call say so, and no one in it counts as good."""
    with Emulator(WORLD, faults=(Fault("unrecoverable", "participant_metrics"),)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    overview, call = page("Overview"), page("A call")
    assert {metric.label: metric.value for metric in overview.metric}["Poor publishers"] == "–"
    (warning,) = overview.warning
    assert warning.value == (
        "Some days are incomplete. What is missing counts as neither good nor bad.\n\n"
        "- 2026-11-02: 8 windows have no final response (8 failed after all retries)"
    )
    assert [warning.value for warning in call.warning] == [
        "This call is incomplete. 4 windows have no final response (4 failed after all retries)."
    ]


def test_overview_says_which_calls_are_live(flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """A live call makes its day incomplete, even if nothing is missing of calls that have ended."""
    began = datetime(2026, 11, 2, 9, tzinfo=UTC)
    talk = Points.every(30, began, bitrate=tuple(range(100)))
    stay = StaySpec("ann", "ann-1", joined_at=began, tracks=(TrackSpec("mic", "audio", "opus", talk),))
    live = CallSpec("default", "live", "live-1", started_at=began, participants=(stay,))
    with Emulator(World((live,)), clock=ManualClock(began + timedelta(minutes=40))) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    (warning,) = page("Overview").warning
    assert "- 2026-11-02: 1 call session was still live when last fetched" in warning.value
    assert "windows" not in warning.value


def test_live_call_that_everyone_has_left_says_why_it_is_incomplete(
    flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is missing of it. The report has the same sentence."""
    began = datetime(2026, 11, 2, 9, tzinfo=UTC)
    stay = StaySpec("ann", "ann-1", joined_at=began, left_at=began + timedelta(minutes=5))
    live = CallSpec("default", "live", "live-1", started_at=began, participants=(stay,))
    with Emulator(World((live,)), clock=ManualClock(began + timedelta(minutes=40))) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    problem = "The call was still live when last fetched, at 2026-11-02 09:40 UTC; later data is not stored."
    shown = page("A call")
    assert [warning.value for warning in shown.warning] == [f"This call is incomplete. {problem}"]
    assert "2026-11-02 09:00 to still live, UTC · live-1" in [caption.value for caption in shown.caption]
    assert report.make(flow.settings.warehouse, "live-1", None, datetime.now(UTC)).problems == (problem,)


def test_call_without_a_certificate_is_not_called_complete(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call without a row on its completeness has a warning that says so."""
    with duckdb.connect(str(published)) as database:
        database.execute("DELETE FROM ingest_completeness_by_call")
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(published))
    assert [warning.value for warning in page("A call").warning] == [
        "This call is incomplete. The database does not say how complete the call is."
    ]


@pytest.mark.slow
def test_overview_lists_few_incomplete_days(flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven days without any metrics, five are listed, and the number of the others."""
    days = days_from(DAY, 7)
    world = World(
        tuple(call for day in days for call in uniform_world(day, calls=1, people=1, minutes=10, step_seconds=60).calls)
    )
    clock = ManualClock(datetime(2026, 11, 10, tzinfo=UTC))
    with Emulator(world, clock=clock, faults=(Fault("unrecoverable", "participant_metrics"),)) as emulator:
        flow = flow_for(emulator)
        run(flow, *days)
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    (warning,) = page("Overview").warning
    assert warning.value.splitlines()[2:] == [
        *(f"- {day}: 1 window has no final response (1 failed after all retries)" for day in days[:5]),
        "- and 2 more days",
    ]


def test_page_without_a_database_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence is in the place of the charts."""
    monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path))
    assert [error.value for error in page("Overview").error] == [
        f"{tmp_path}/warehouse.duckdb does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
    ]
