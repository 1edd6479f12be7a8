"""The dashboard: its queries and its pages on a small database, as a backfill publishes it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline import dashboard
from pipeline.emulator import Emulator, World
from pipeline.flow import Flow
from tests.conftest import run

DAY = date(2026, 11, 2)
WORLD = World.uniform(DAY, calls=2, people=2, minutes=40, step_seconds=60)
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
    return {wanted: values[wanted] for wanted in set(re.findall(r"\$(\w+)", without_comments(dashboard.query(name))))}


def without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def test_every_query_has_rows(published: Path) -> None:
    """Each statement of the dashboard is understood, and says something of a database that holds something."""
    session = dashboard.ask(published, "calls", first=DAY, last=DAY)[0]["call_session_id"]
    for name in dashboard.names():
        rows = dashboard.ask(published, name, **parameters(name, session))
        assert rows or name == "worst_calls", name
    assert dashboard.ask(published, "span") == [{"first": DAY, "last": DAY}]
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
    assert answers == [[{"first": DAY, "last": DAY}]] * 20


def test_the_pages_show_what_is_published(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages come up without an error, with the figures of the day, and the reader can look into a call."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="Streamlit comes with the extra dashboard")
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(published))
    app = testing.AppTest.from_file(str(Path(dashboard.__file__).with_name("app.py")), default_timeout=60).run()
    assert (list(app.exception), list(app.error)) == ([], [])
    assert {metric.label: metric.value for metric in app.metric}["Calls"] == "2"
    app.selectbox[0].set_value("Codec").run()
    app.selectbox[1].select_index(1).run()
    assert (list(app.exception), list(app.error)) == ([], [])
    assert [header.value for header in app.subheader] == [app.selectbox[1].options[1].split(" ")[-1]]


def test_without_a_database_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence where the charts would be."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="Streamlit comes with the extra dashboard")
    monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path))
    app = testing.AppTest.from_file(str(Path(dashboard.__file__).with_name("app.py")), default_timeout=60).run()
    assert [error.value for error in app.error] == [
        f"{tmp_path}/warehouse.duckdb is not there yet; `call-metrics backfill` or `call-metrics demo` makes it"
    ]


@pytest.mark.parametrize("arguments", [("65536",), ("http",), ("1", "2")])
def test_a_port_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    """One sentence, exit code 2."""
    done = subprocess.run([sys.executable, "-m", "pipeline.dashboard", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dashboard: the only argument is a TCP port, from 1 to 65535 (default: 8501)\n"


def test_every_query_says_its_grain() -> None:
    """Each file begins with what a row of it is."""
    for name in dashboard.names():
        assert dashboard.query(name).startswith("-- Grain: one row"), name
