"""The queries of the dashboard, on a small database."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.serving import dashboard
from pipeline.serving.dashboard.columns import COLUMNS
from pipeline.settings import Settings
from pipeline.sql import read_statement, statement_names
from tests.support import MIDNIGHT, erasure
from tests.support.dashboard import DAY
from tests.support.small_world import IDS, SmallWorld, rows_of, steady

SPAN = {"first": DAY, "last": DAY}

HEADINGS = {*SPAN, "newest_fetch_at", "is_complete", "stays_promised", "stays_held"}
HEADINGS |= {"windows_due", "windows_suspect", "windows_missing", "windows_failed"}
HEADINGS |= {"is_live", "live_at", "minute", "framerate", "users_with_video"}
"""Columns that no table shows."""

NONE_OF_IT = ("worst_calls", "value_calls", "incident_calls", "incidents", "incomplete_days", "releases")
"""Queries about what this world has none of, such as poor calls."""

SEGMENTS = ("network_type", "country", "client_name", "client_version", "codec")


def parameters(name: str, session: str) -> dict[str, Any]:
    """Return a value for every parameter that the query names."""
    values = {"first": DAY, "last": DAY, "by": "network_type", "session": session}
    values |= {"day": DAY, "started_at": MIDNIGHT, "scope": "country", "scope_value": "Kenya"}
    values |= {"dimension": "network_type", "value": "wifi"}
    text = without_comments(read_statement("pipeline.serving.dashboard", name))
    return {wanted: values[wanted] for wanted in set(re.findall(r"\$(\w+)", text))}


def without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def test_every_query_has_rows_and_headings(published: Path) -> None:
    """Each statement runs, returns rows of a database with data, and has a heading for each column of a table."""
    session = dashboard.run_query(published, "calls", first=DAY, last=DAY)[0]["call_session_id"]
    for name in statement_names("pipeline.serving.dashboard"):
        rows = dashboard.run_query(published, name, **parameters(name, session))
        assert rows or name in NONE_OF_IT, name
        assert set().union(*rows) <= set(COLUMNS) | HEADINGS, name
    assert SPAN.items() <= dashboard.run_query(published, "span")[0].items()
    assert [day["calls"] for day in dashboard.run_query(published, "days", first=DAY, last=DAY)] == [2]
    assert len(dashboard.run_query(published, "call_people", session=session)) == 2


@pytest.mark.parametrize("by", SEGMENTS)
def test_segments_add_up(by: str, published: Path) -> None:
    """Each judged track counts once in any segment, and a share is within its interval."""
    with duckdb.connect(str(published), read_only=True) as database:
        expected = database.execute("SELECT count(*) FROM track_quality WHERE class <> 'unclassified'").fetchone()
    rows = dashboard.run_query(published, "segments", first=DAY, last=DAY, by=by)
    assert (sum(row["n"] for row in rows),) == expected
    for row in rows:
        assert 0 <= row["poor_share_low"] <= row["poor_share"] <= row["poor_share_high"] <= 1


def test_interval_of_a_segment_is_that_of_the_view(tmp_path: Path) -> None:
    """A segment that is one row of `quality_by_segment` has its figures: with no, some and only poor tracks."""
    world = SmallWorld()
    world.call()
    for network, poor in (("wifi", 0), ("ethernet", 1), ("cellular", 3)):
        for number in range(3):
            user = f"{network}-{number}"
            world.stay(user, 0, 300, network_type=network)
            framerate = 3 if number < poor else 30
            world.track(steady(0, 295, framerate=framerate), user_id=user, user_session_id=user)
    names = ("n", "poor", "poor_share", "poor_share_low", "poor_share_high")
    with world.load(tmp_path) as database:
        expected = rows_of(database, f"SELECT network_type, {', '.join(names)} FROM quality_by_segment ORDER BY poor")
    span = dict.fromkeys(("first", "last"), IDS["session_date"])
    found = dashboard.run_query(tmp_path / "published.duckdb", "segments", by="network_type", **span)
    found.sort(key=lambda row: row["poor"])
    assert [row["poor"] for row in expected] == [0, 1, 3]
    assert [{"network_type": row["segment"]} | {name: row[name] for name in names} for row in found] == expected


def test_queries_can_run_at_the_same_time(published: Path) -> None:
    """Two pages that query in the same moment do not disturb each other."""
    with ThreadPoolExecutor(4) as readers:
        results = list(readers.map(lambda _: dashboard.run_query(published, "span"), range(20)))
    assert [SPAN.items() <= result[0].items() for result in results] == [True] * 20


def test_day_without_data_is_among_the_days(published: Path) -> None:
    """It has no figures: what is unknown is not zero."""
    before, day = dashboard.run_query(published, "days", first=DAY - timedelta(days=1), last=DAY)
    assert (before["session_date"], before["calls"], before["poor_publishers"]) == (DAY - timedelta(days=1), 0, None)
    assert (day["session_date"], day["calls"], day["poor_publishers"]) == (DAY, 2, 0)


def test_days_count_a_missing_stay_also_after_an_erasure(settings_for: Callable[..., Settings]) -> None:
    """Of three stays one is missing. After bob is erased it still is, though fewer are promised."""
    span = {"first": erasure.DAY, "last": erasure.DAY}
    with (
        Emulator(erasure.WORLD, clock=ManualClock(erasure.AFTERWARDS)) as emulator,
        Flow(settings_for(emulator), connect=erasure.WithoutCat.connect) as flow,
    ):
        flow.run(erasure.DAY)
        for users, promised in ((2, 3), (1, 2)):
            (day,) = dashboard.run_query(flow.settings.warehouse, "days", **span)
            assert (day["stays_missing"], day["users"], day["complete_calls"]) == (1, users, 0)
            (incomplete,) = dashboard.run_query(flow.settings.warehouse, "incomplete_days", **span)
            assert (incomplete["stays_held"], incomplete["stays_promised"]) == (users, promised)
            flow.forget("bob")


def test_database_of_another_version_is_refused(tmp_path: Path) -> None:
    """One sentence says what to do."""
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    with pytest.raises(FixStorage, match="is of another version of Call Metrics; `call-metrics rebuild` rebuilds it"):
        dashboard.run_query(tmp_path / "warehouse.duckdb", "span")


def test_every_query_states_its_grain() -> None:
    """Each file begins with what one row is."""
    for name in statement_names("pipeline.serving.dashboard"):
        assert read_statement("pipeline.serving.dashboard", name).startswith("-- Grain: one row"), name
