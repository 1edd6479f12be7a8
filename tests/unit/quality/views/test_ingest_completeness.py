"""The view `ingest_completeness`: what is stored of a day, and what is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support import DAY
from tests.support.small_world import IDS, Query, SmallWorld, only, seconds


def test_day_shows_what_is_stored_and_until_when_it_can_be_fetched(world: SmallWorld, query: Query) -> None:
    """Three stays promised, one stored; six windows, one in each state; the last call ended at 02:00."""
    world.rows["call_sessions"].clear()
    world.call("s1", sessions=2)
    world.call("s2", sessions=1, ended_at=seconds(7200))
    world.call("s3", ended_at=None, is_live=True)
    for call, promised, ended in (("s1", 2, seconds(3600)), ("s2", 1, seconds(7200)), ("s3", 0, None)):
        forgotten_at = None if ended is None else ended + timedelta(days=90)
        row = IDS | {"call_session_id": call, "stays_promised": promised, "forgotten_at": forgotten_at}
        world.rows["ingest_completeness_by_call"].append(row)
    for number, state in enumerate(("landed", "empty", "gone", "suspect", "failed", "missing")):
        window = {"user_id": "ann", "user_session_id": "ann", "since": seconds(number * 1800), "state": state}
        call = {key: world.rows["call_sessions"][0][key] for key in ("session_date", "call_type", "call_id")}
        fetched = {"fetched_at": None if state == "missing" else seconds(8000 + number)}
        world.rows["windows"].append(call | {"call_session_id": "s1"} | window | fetched)
    day = only(query("FROM ingest_completeness"))
    assert (day["session_date"], day["calls"], day["live_calls"]) == (DAY, 3, 1)
    assert (day["stays_promised"], day["stays_held"], day["windows_expected"]) == (3, 1, 6)
    assert [day[f"windows_{state}"] for state in ("landed", "empty", "gone", "suspect", "failed", "missing")] == [1] * 6
    assert day["newest_fetch_at"] == seconds(8004)
    assert day["forgotten_at"] == seconds(7200) + timedelta(days=90)
    now = only(query("SELECT now() AS now"))["now"]
    assert day["hours_since_newest_fetch"] == pytest.approx((now - seconds(8004)).total_seconds() / 3600, abs=0.1)
    assert day["days_until_forgotten"] == pytest.approx((day["forgotten_at"] - now).total_seconds() / 86400, abs=0.1)
