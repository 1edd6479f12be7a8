"""The ledger: what can still be had, at what cost, and when a backfill must start, by hand and by simulation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.extract.quota import Allowance, QuotaState
from tests.support.small_world import SmallWorld, only, rows_of

QUOTAS = {"participant_sessions": 60, "participant_stats": 30, "participant_metrics": 100}
TODAY = datetime.now(UTC).date()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database without a day, in which the quotas are known."""
    with SmallWorld().load(tmp_path) as database:
        for endpoint, quota in QUOTAS.items():
            database.execute(
                "INSERT INTO store.meta VALUES ($name, $quota)", {"name": f"quota {endpoint}", "quota": f"{quota}"}
            )
        yield database


def add_call(database: duckdb.DuckDBPyConnection, days_ago: int, name: str = "a", **given: Any) -> datetime:
    """Add a call of an hour that ended `days_ago`, with 10 stays of which none is known. Returns when it expires."""
    day = (datetime.now(UTC) - timedelta(days=days_ago)).date()
    ended = given.get("ended", datetime.now(UTC) - timedelta(days=days_ago))
    row = {
        "day": day, "name": name, "started": ended - timedelta(hours=1), "ended": ended, "live": False,
        "promised": 10, "held": 0, "expected": 0, "due": 0, "complete": False, "sessions": 10, "participants": 10,
        "publishers": 10, "seconds": 36_000,
    } | given  # fmt: skip
    database.execute(
        "INSERT INTO call_sessions BY NAME SELECT $day AS session_date, 'default' AS call_type, $name AS call_id, "
        "'s' AS call_session_id, $started::TIMESTAMPTZ AS started_at, $ended::TIMESTAMPTZ AS ended_at, "
        "$live AS is_live, $sessions AS sessions, $participants AS participants, $publishers AS publishers, "
        "$seconds AS total_participant_duration_seconds",
        {
            name: row[name]
            for name in ("day", "name", "started", "ended", "live", "sessions", "participants", "publishers", "seconds")
        },
    )
    database.execute(
        "INSERT INTO ingest_completeness_by_call BY NAME SELECT $day AS session_date, 'default' AS call_type, "
        "$name AS call_id, 's' AS call_session_id, $promised AS stays_promised, $held AS stays_held, "
        "$expected AS windows_expected, $due AS windows_due, $complete AS is_complete, "
        "$ended::TIMESTAMPTZ + INTERVAL 90 DAY AS forgotten_at",
        {name: row[name] for name in ("day", "name", "promised", "held", "expected", "due", "complete", "ended")},
    )
    database.execute("INSERT INTO store.loaded VALUES ($day, 'call_sessions', '', 1)", {"day": row["day"]})
    return ended + timedelta(days=90)


def test_cost_of_an_unlisted_call(database: duckdb.DuckDBPyConnection) -> None:
    """Everyone stayed for the whole hour: a page each of calls, participants and statistics, two windows a stay."""
    lost_at = add_call(database, 80)
    call = only(rows_of(database, "FROM ledger_calls"))
    assert (call["stays_missing"], call["listing_requests"], call["statistics_requests"]) == (10, 1, 1)
    assert call["metrics_requests"] == 20
    assert call["lost_at"] == call["start_by"] == lost_at
    assert call["seconds_before"] == 0
    day = only(rows_of(database, "FROM ledger"))
    assert (day["calls"], day["stays_missing"], day["requests"], day["stays_lost_now"]) == (1, 10, 23, 0)
    assert day["lost_from"] == day["lost_until"] == day["start_by"] == lost_at


def test_earlier_days_come_first(database: duckdb.DuckDBPyConnection) -> None:
    """The metrics of the days before take their quota: 400 requests at 100 a minute are four minutes."""
    add_call(database, 81, promised=200)
    lost_at = add_call(database, 80)
    later = rows_of(database, "FROM ledger_calls ORDER BY session_date")[1]
    assert later["seconds_before"] == 240
    assert later["start_by"] == lost_at - timedelta(minutes=4)


def test_lists_beyond_a_minutes_quota_wait(database: duckdb.DuckDBPyConnection) -> None:
    """12,000 people are 120 pages; of 60 a minute, the first are there at once."""
    add_call(database, 80, promised=12_000)
    assert only(rows_of(database, "FROM ledger_calls"))["seconds_before"] == 60


@pytest.mark.parametrize(
    ("given", "requests"),
    [
        ({"held": 10, "expected": 30, "due": 7}, 7),  # all are listed: what is due is known
        ({"promised": 40, "held": 30, "expected": 90, "due": 0}, 30),  # the others are like those that are listed
        ({"publishers": 5}, 10),  # half of them publish
        ({"seconds": 18_000}, 15),  # half the call: one window and a half, on average
        ({"seconds": None}, 10),
    ],
)
def test_metrics_of_a_call(database: duckdb.DuckDBPyConnection, given: dict[str, int], requests: int) -> None:
    """Known windows count as they are, unknown ones are estimated."""
    add_call(database, 80, **given)
    assert only(rows_of(database, "FROM ledger_calls"))["metrics_requests"] == requests


def test_nothing_can_be_had(database: duckdb.DuckDBPyConnection) -> None:
    """A complete call and a live one are not in the ledger; of one that expired, nobody can be listed."""
    add_call(database, 80, "complete", complete=True)
    add_call(database, 80, "live", live=True)
    add_call(database, 95, "expired", due=3)
    call = only(rows_of(database, "FROM ledger_calls"))
    assert (call["call_id"], call["stays_missing"], call["metrics_requests"]) == ("expired", 0, 3)
    assert only(rows_of(database, "FROM ledger"))["start_by"] is None


def test_without_a_quota_no_start_is_named(database: duckdb.DuckDBPyConnection) -> None:
    """Unknown is not never."""
    add_call(database, 80)
    database.execute("DELETE FROM store.meta WHERE starts_with(name, 'quota')")
    assert only(rows_of(database, "SELECT start_by, lost_from IS NOT NULL AS known FROM ledger")) == {
        "start_by": None,
        "known": True,
    }


def test_days_that_were_never_listed_count_as_average_days(database: duckdb.DuckDBPyConnection) -> None:
    """From the first day on that can be ingested, or from 90 days ago."""
    add_call(database, 3, complete=True, held=10, expected=20)
    database.execute("INSERT INTO store.meta VALUES ('start', $start)", {"start": f"{TODAY - timedelta(days=5)}"})
    listed = (datetime.now(UTC) - timedelta(days=3)).date()
    rows = rows_of(database, "FROM ledger ORDER BY session_date")
    assert [row["session_date"] for row in rows] == [
        TODAY - timedelta(days=back) for back in range(5, 0, -1) if TODAY - timedelta(days=back) != listed
    ]
    assert all(row["is_estimate"] and row["calls"] is None for row in rows)
    assert {(row["stays_missing"], row["metrics_requests"]) for row in rows} == {(10, 20)}


def test_days_that_were_pruned_are_not_missing(database: duckdb.DuckDBPyConnection) -> None:
    """They were listed, and removed since, so no request is due of them."""
    add_call(database, 3, complete=True, held=10, expected=20)
    database.execute("INSERT INTO store.meta VALUES ('start', $start)", {"start": f"{TODAY - timedelta(days=5)}"})
    before = {row["session_date"] for row in rows_of(database, "FROM ledger")}
    pruned = {TODAY - timedelta(days=5), TODAY - timedelta(days=1)}
    days = " ".join(f"{day}" for day in sorted(pruned))
    database.execute("INSERT INTO store.meta VALUES ('pruned', $days)", {"days": days})
    assert {row["session_date"] for row in rows_of(database, "FROM ledger")} == before - pruned
    database.execute("UPDATE store.meta SET value = '' WHERE name = 'pruned'")
    assert {row["session_date"] for row in rows_of(database, "FROM ledger")} == before


def test_a_call_that_is_too_late_is_counted(database: duckdb.DuckDBPyConnection) -> None:
    """The day before takes longer than is left."""
    add_call(
        database, 90, "expiring", ended=datetime.now(UTC) - timedelta(days=90) + timedelta(minutes=10), promised=3000
    )
    ended = datetime.now(UTC) - timedelta(days=90) + timedelta(minutes=20)
    add_call(database, 89, "late", ended=ended)
    days = rows_of(database, "FROM ledger ORDER BY session_date")
    assert [day["stays_lost_now"] for day in days] == [0, 10]


def test_a_lost_day_leaves_its_time_to_the_next(database: duckdb.DuckDBPyConnection) -> None:
    """An hour's metrics of the first day lose the second, and the third comes in time: the second takes nothing."""
    for days_ago, minutes in ((92, 10), (91, 30), (90, 100)):
        ended = datetime.now(UTC) - timedelta(days=90) + timedelta(minutes=minutes)
        add_call(database, days_ago, ended=ended, promised=3000)
    days = rows_of(database, "FROM ledger ORDER BY session_date")
    assert [day["metrics_requests"] for day in days] == [6000, 6000, 6000]
    assert [day["stays_lost_now"] for day in days] == [0, 3000, 0]
    assert days[2]["start_by"] < datetime.now(UTC)  # if nothing was lost before


def test_windows_that_are_known_are_requested_of_lost_calls(database: duckdb.DuckDBPyConnection) -> None:
    """Metrics are not forgotten, so that those of listed participants take their time also if others are lost."""
    now = datetime.now(UTC) - timedelta(days=90)
    add_call(database, 92, ended=now + timedelta(minutes=10), promised=3000)
    add_call(database, 91, ended=now + timedelta(minutes=30), promised=3000, held=2000, due=2000, expected=4000)
    for number, minutes in enumerate((75, 85)):  # around the first day's hour and 20 minutes of the second
        add_call(database, 90 - number, ended=now + timedelta(minutes=minutes))
    days = rows_of(database, "FROM ledger ORDER BY session_date")
    assert [day["stays_lost_now"] for day in days] == [0, 1000, 10, 0]


def test_the_ledger_agrees_with_the_limiter(database: duckdb.DuckDBPyConnection) -> None:
    """The instant at which each call is listed in a simulation of the limiter is the one in the ledger, within 5 %."""
    chance = random.Random(3)
    for back in range(85, 70, -1):
        for number in range(4):
            add_call(
                database,
                back,
                f"call-{number}",
                promised=chance.randrange(20, 400),
                seconds=chance.randrange(1, 9) * 3600,
            )
    calls = rows_of(database, "FROM ledger_calls ORDER BY session_date, lost_at, call_type, call_id")
    source = SimulatedSource()
    listed: list[tuple[float, float]] = []
    for day in sorted({call["session_date"] for call in calls}):
        today = [call for call in calls if call["session_date"] == day]
        for call in today:
            source.send("participant_sessions", call["listing_requests"])
            listed.append((call["seconds_before"], source.seconds))
        for call in today:
            source.send("participant_stats", call["statistics_requests"])
        for call in today:
            source.send("participant_metrics", call["metrics_requests"])
    assert listed[-1][1] > 3600
    for said, took in listed:
        assert said == pytest.approx(took, rel=0.05, abs=60)  # a window of the quota


def test_what_is_lost_agrees_with_the_limiter(database: duckdb.DuckDBPyConnection) -> None:
    """A simulated backfill that starts late loses what the ledger says, within 2 %."""
    chance = random.Random(6)
    for number in range(96):
        ended = datetime.now(UTC) - timedelta(days=90) + timedelta(minutes=number * chance.uniform(1, 8) + 1)
        add_call(database, 100 - number // 8, f"call-{number}", ended=ended, promised=chance.randrange(20, 400))
    calls = rows_of(database, "FROM ledger_calls ORDER BY session_date, lost_at, call_type, call_id")
    now = datetime.now(UTC)
    source = SimulatedSource()
    lost = 0
    for day in sorted({call["session_date"] for call in calls}):
        listed = []
        for call in (call for call in calls if call["session_date"] == day):
            source.send("participant_sessions", call["listing_requests"])
            if now + timedelta(seconds=source.seconds) < call["lost_at"]:
                listed.append(call)
            else:
                lost += call["stays_missing"]
        for call in listed:
            source.send("participant_stats", call["statistics_requests"])
        for call in listed:
            source.send("participant_metrics", call["metrics_requests"])
    assert 0.2 < lost / sum(call["stays_missing"] for call in calls) < 0.8
    assert sum(call["stays_lost_now"] for call in calls) == pytest.approx(lost, rel=0.02)


class SimulatedSource:
    """Fixed windows of a minute, and our limiter, in simulated time: a response takes 0.1 s, 16 are under way."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._states = {endpoint: QuotaState() for endpoint in QUOTAS}
        self._used: dict[tuple[str, int], int] = {}

    def send(self, endpoint: str, requests: int) -> None:
        """Send requests one after the other, each in the sixteenth part of a response's time."""
        for _ in range(requests):
            state = self._states[endpoint]
            while wait := state.opens_in(self.seconds, 0):
                self.seconds += wait
            state.sent(self.seconds)
            window = int(self.seconds // 60)
            used = self._used[endpoint, window] = self._used.get((endpoint, window), 0) + 1
            assert used <= QUOTAS[endpoint]
            self.seconds += 0.1 / 16
            state.learn(Allowance(QUOTAS[endpoint], QUOTAS[endpoint] - used, (window + 1) * 60), self.seconds)
