"""Each cause opens when it should, keeps its key while it lasts, and is gone when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.alerts.causes import (
    Cause,
    DayAtRisk,
    Disk,
    RefusedQuota,
    disk_causes,
    failed_run,
    field_causes,
    incident_causes,
    quota_causes,
    release_causes,
    risk_causes,
    risk_ending,
    runs_left,
    shortened,
    with_earlier,
    yesterday_cause,
)

NOW = datetime(2026, 11, 26, 6, 30, tzinfo=UTC)


def day_at_risk(day: date, *, days_left: int) -> DayAtRisk:
    expires_at = NOW + timedelta(days=days_left)
    return DayAtRisk(day, expires_at, expires_at + timedelta(days=1), "2 windows without a final response")


def by_key(causes: Any) -> dict[str, Cause]:
    return {cause.key: cause for cause in causes}


def test_the_same_failure_of_two_days_is_one_cause() -> None:
    """Wrong credentials fail every day of a night, and are one cause; another failure is another."""
    one = failed_run("2026-11-25", "Stream refuses the key (run 2026-11-25)")
    other = failed_run("2026-11-24", "Stream refuses the key (run 2026-11-24)")
    assert one.key == other.key
    assert with_earlier(other, {one.key: one}).subjects == {"2026-11-24", "2026-11-25"}
    assert failed_run("2026-11-25", "the disk is full").key != one.key


def test_failed_run_is_over_when_all_its_days_are() -> None:
    """What is left of it stays open under the same key."""
    cause = with_earlier(failed_run("b", "no"), by_key([failed_run("a", "no")]))
    (left,) = runs_left([cause], {"a"})
    assert (left.key, left.subjects) == (cause.key, {"b"})
    assert not list(runs_left([cause], {"a", "b"}))


def test_days_in_a_row_are_one_cause_and_the_next_day_joins_it() -> None:
    """Each night one more day comes within two weeks of its end: that is no news. A day apart is."""
    first = date(2026, 9, 1)
    days = [day_at_risk(first + timedelta(days=offset), days_left=5 + offset) for offset in range(30)]
    (cause,) = risk_causes(days, NOW, {})
    assert cause.key == "risk:2026-09-01"
    assert cause.subjects == {f"{day.day}" for day in days[:10]}  # the others have more than 14 days
    known = {cause.key: cause}
    assert list(by_key(risk_causes(days, NOW + timedelta(days=1), known))) == [cause.key]
    alone = day_at_risk(date(2026, 8, 28), days_left=1)
    assert list(by_key(risk_causes([alone, *days], NOW, known))) == ["risk:2026-08-28", cause.key]
    assert not list(risk_causes(days[20:], NOW, {}))


def test_data_that_begins_to_expire_is_to_be_fetched_now() -> None:
    """What lacks the same is said once, and not "before" an instant that has passed."""
    days = [day_at_risk(date(2026, 9, 1) + timedelta(days=offset), days_left=offset) for offset in range(2)]
    (cause,) = risk_causes(days, NOW + timedelta(hours=1), {})
    assert f"(2 days): {days[0].missing}. The first of it began to expire at the source on" in cause.text
    assert cause.remedy.startswith("Run `call-metrics backfill --from 2026-09-01 --to 2026-09-02` now. ")
    (cause,) = risk_causes([days[0], replace(days[1], missing="1 window")], NOW - timedelta(hours=1), {})
    assert f"of the first day {days[0].missing}, and something of the others. The first of it expires" in cause.text


def test_data_that_expired_is_not_said_to_be_saved() -> None:
    """The end of the cause says what is lost, and otherwise that nothing is missing."""
    lost, saved = day_at_risk(date(2026, 8, 25), days_left=-2), date(2026, 8, 26)
    cause = Cause("risk", "risk:x", "", "", "", subjects=frozenset({f"{lost.day}", f"{saved}"}))
    assert risk_ending(cause, [lost], NOW) == (
        "It can no longer be fetched, and is lost: 2026-08-25: 2 windows without a final response."
    )
    assert risk_ending(cause, [], NOW).startswith("Nothing of these days is missing")
    assert not list(risk_causes([lost], NOW, {}))


def test_yesterday_says_what_is_there() -> None:
    """Its key has no day: a second day that does not arrive is the same cause."""
    one, other = yesterday_cause(date(2026, 11, 25), date(2026, 11, 24)), yesterday_cause(date(2026, 11, 26), None)
    assert one.key == other.key
    assert one.text == "2026-11-25 is not in the database: the newest day in the database is 2026-11-24."
    assert "the database has no days" in other.text


@pytest.mark.parametrize(("minutes", "count"), [(9, 0), (10, 1), (300, 1)])
def test_quota_is_told_when_it_is_refused_for_ten_minutes(minutes: int, count: int) -> None:
    """Its window is a minute: a refusal or two is how a quota works."""
    found = list(quota_causes([RefusedQuota("participant_metrics", NOW - timedelta(minutes=minutes), NOW)]))
    assert len(found) == count
    assert all(f"for {minutes} minutes" in cause.text for cause in found)


def test_disk_is_nearly_full_below_a_share_or_what_a_publication_needs() -> None:
    """And it is over only with a fifth more than that, so that it does not come and go."""
    gigabyte = 10**9

    def found(free: int, size: int, needed: int, *known: str) -> bool:
        return bool(list(disk_causes([Disk("data", "/d", size * gigabyte, free * gigabyte, needed * gigabyte)], known)))

    assert found(40, 1000, 2)
    assert not found(60, 1000, 2)
    assert found(60, 1000, 70)
    assert found(55, 1000, 2, "disk:data")
    assert not found(61, 1000, 2, "disk:data")


def test_each_new_field_is_a_cause() -> None:
    """Its key is endpoint and name, whatever the day."""
    found = by_key(field_causes({"call_stats: qp": date(2026, 11, 25), "participant_metrics: client.os": NOW.date()}))
    assert list(found) == ["field:call_stats: qp", "field:participant_metrics: client.os"]


def release(verdict: str, version: str = "2.0") -> dict[str, Any]:
    return {
        "client_name": "web",
        "client_version": version,
        "baseline_version": "1.9",
        "publishers": 1000,
        "poor_share": 0.2,
        "difference": 0.05,
        "difference_low": 0.02,
        "difference_high": 0.08,
        "verdict": verdict,
    }


def test_only_a_worse_release_is_told() -> None:
    """Its sentence is the one of the check in Dagster."""
    assert not list(release_causes([release("better"), release("no difference seen")]))
    (cause,) = release_causes([release("worse")])
    assert cause.key == "release:web 2.0"
    assert "5.0 points (2.0 to 8.0) more than with 1.9" in cause.text


def incident(start: datetime, scope: str = "sfu", value: str = "fra-1") -> dict[str, Any]:
    return {
        "scope": scope,
        "scope_value": value,
        "started_at": start,
        "ended_at": start + timedelta(minutes=12),
        "affected": 30,
        "publishers": 40,
        "expected": 2.0,
        "calls": 9,
    }


def test_incident_is_past_and_keeps_its_key_if_its_start_moves_a_little() -> None:
    """Late data moves it by minutes. Another scope, or hours later, is another incident."""
    (cause,) = incident_causes([incident(NOW)], [])
    assert cause.is_past
    moved = incident_causes([incident(NOW + timedelta(minutes=4))], [cause.key])
    assert list(by_key(moved)) == [cause.key]
    others = incident_causes([incident(NOW + timedelta(hours=3)), incident(NOW, value="fra-2")], [cause.key])
    assert cause.key not in by_key(others)


def test_texts_of_others_are_cut_and_have_no_control_characters() -> None:
    """A version or a field can have any name."""
    assert shortened("a\x1b[31m\nb") == "a [31m b"
    assert len(shortened("x" * 5000)) < 310
