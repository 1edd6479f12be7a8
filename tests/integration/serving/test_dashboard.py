"""The dashboard: its queries and its pages on a small database, as a backfill publishes it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.emulator import Emulator, Fault, uniform_world
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.serving import dashboard
from pipeline.serving.dashboard.columns import COLUMNS
from pipeline.sql import load, names
from tests.support.flows import run

DAY = date(2026, 11, 2)
WORLD = uniform_world(DAY, calls=2, people=2, minutes=40, step_seconds=60)
SPAN = {"first": DAY, "last": DAY}
HEADINGS = {*SPAN, "newest_fetch_at", "ended_at", "is_complete", "stays_promised", "stays_held"}
HEADINGS |= {"windows_due", "windows_suspect", "windows_missing", "windows_failed"}
HEADINGS |= {"minute", "framerate", "users_with_video"}
"""Columns that no table shows."""

SEGMENTS = ("network_type", "country", "client_name", "client_version", "codec")


@pytest.fixture
def published(flow_for: Callable[..., Flow]) -> Path:
    """A published database with two calls of two people each."""
    with Emulator(WORLD) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    return flow.settings.warehouse


def parameters(name: str, session: str) -> dict[str, Any]:
    """A value for every parameter that the query names."""
    values = {"first": DAY, "last": DAY, "by": "network_type", "session": session}
    text = without_comments(load("pipeline.serving.dashboard", name))
    return {wanted: values[wanted] for wanted in set(re.findall(r"\$(\w+)", text))}


def without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def test_every_query_has_rows(published: Path) -> None:
    """Each statement of the dashboard is understood, and says something of a database that holds something."""
    session = dashboard.ask(published, "calls", first=DAY, last=DAY)[0]["call_session_id"]
    for name in names("pipeline.serving.dashboard", "queries"):
        rows = dashboard.ask(published, name.removeprefix("queries/"), **parameters(name, session))
        assert rows or name == "queries/worst_calls", name
        assert set().union(*rows) <= set(COLUMNS) | HEADINGS, name
    assert SPAN.items() <= dashboard.ask(published, "span")[0].items()
    assert [day["calls"] for day in dashboard.ask(published, "days", first=DAY, last=DAY)] == [2]
    assert len(dashboard.ask(published, "call_people", session=session)) == 2


@pytest.mark.parametrize("by", SEGMENTS)
def test_segments_add_up(by: str, published: Path) -> None:
    """However tracks are grouped, each judged one counts once, and a share lies in its interval."""
    with duckdb.connect(str(published), read_only=True) as database:
        expected = database.execute("SELECT count(*) FROM track_quality WHERE class <> 'unclassified'").fetchone()
    rows = dashboard.ask(published, "segments", first=DAY, last=DAY, by=by)
    assert (sum(row["n"] for row in rows),) == expected
    for row in rows:
        assert 0 <= row["poor_share_low"] <= row["poor_share"] <= row["poor_share_high"] <= 1


def test_many_readers_at_once_are_answered(published: Path) -> None:
    """Two pages that ask in the same moment do not stand in each other's way."""
    with ThreadPoolExecutor(4) as readers:
        answers = list(readers.map(lambda _: dashboard.ask(published, "span"), range(20)))
    assert [SPAN.items() <= answer[0].items() for answer in answers] == [True] * 20


def page(name: str) -> Any:
    """A page of the dashboard, as Streamlit runs it."""
    testing = pytest.importorskip("streamlit.testing.v1.app_test", reason="Streamlit comes with the extra dashboard")
    testing.TMP_DIR.cleanup()  # it would warn at exit, and is for pages that are given as text
    app = testing.AppTest.from_file(str(Path(dashboard.__file__).with_name("app.py")), default_timeout=60)
    app.session_state["page"] = name
    return app.run()


def test_the_pages_show_what_is_published(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages come up without an error, with the figures of the day, and the reader can look into a call."""
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(published))
    overview, worst, segments, call = map(page, ("Overview", "Worst calls", "Who has poor quality", "A call"))
    for shown in (overview, worst, segments, call):
        assert (list(shown.exception), list(shown.error), list(shown.warning)) == ([], [], [])
    assert {metric.label: metric.value for metric in overview.metric} == {
        "Calls": "2",
        "People": "4",
        "Poor publishers": "0.0 %",
        "Complete calls": "100.0 %",
    }
    assert [info.value for info in worst.info] == [
        "No call has a poor publisher in these days. The overview says how many could be judged."
    ]
    segments.selectbox[0].set_value("Codec").run()
    assert "Codec" in segments.dataframe[0].proto.columns
    call.selectbox[0].select_index(1).run()
    assert (list(call.exception), list(call.error)) == ([], [])
    assert [header.value for header in call.subheader] == [call.selectbox[0].options[1].split(" ")[-1]]


def test_what_is_missing_is_said_and_is_not_good(
    flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call without an answer to its metrics: the overview and the call say so, and nobody of it is good."""
    with Emulator(WORLD, faults=(Fault("unrecoverable", "participant_metrics"),)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    overview, call = page("Overview"), page("A call")
    assert {metric.label: metric.value for metric in overview.metric}["Poor publishers"] == "–"
    assert [warning.value for warning in overview.warning] == [
        "Not everything is here of 2026-11-02: what is missing counts as neither good nor bad."
    ]
    assert [warning.value for warning in call.warning] == [
        "This call is incomplete. 4 windows have no final response (4 failed after all retries)."
    ]


def test_a_day_of_which_nothing_is_held_is_among_the_days(published: Path) -> None:
    """It has no figures: what is not known is no zero."""
    before, day = dashboard.ask(published, "days", first=DAY - timedelta(days=1), last=DAY)
    assert (before["session_date"], before["calls"], before["poor_publishers"]) == (DAY - timedelta(days=1), 0, None)
    assert (day["session_date"], day["calls"], day["poor_publishers"]) == (DAY, 2, 0)


def test_without_a_database_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence where the charts would be."""
    monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path))
    assert [error.value for error in page("Overview").error] == [
        f"{tmp_path}/warehouse.duckdb does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
    ]


def test_a_database_of_another_version_is_one_sentence(tmp_path: Path) -> None:
    """No view of ours in it: what to do, and no traceback."""
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    with pytest.raises(FixStorage, match="is of another version of Call Metrics; `call-metrics rebuild` makes it anew"):
        dashboard.ask(tmp_path / "warehouse.duckdb", "span")


@pytest.mark.parametrize("arguments", [("65536",), ("http",), ("1", "2")])
def test_a_port_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    """One sentence, exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.serving.dashboard", *arguments], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dashboard: the only argument is a TCP port, from 1 to 65535 (default: 8501)\n"


def test_every_query_says_its_grain() -> None:
    """Each file begins with what a row of it is."""
    for name in names("pipeline.serving.dashboard", "queries"):
        assert load("pipeline.serving.dashboard", name).startswith("-- Grain: one row"), name
