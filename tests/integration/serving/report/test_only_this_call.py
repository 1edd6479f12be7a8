"""What the report says of others: incidents at the time, other calls of the day, earlier stays, and releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.quality.thresholds import THRESHOLDS
from pipeline.serving import report
from pipeline.serving.mcp.calls import call_report
from pipeline.serving.report import around
from pipeline.serving.report.only_this_call import only_this_call
from pipeline.serving.report.worst import worst_of
from pipeline.settings import Settings
from tests.support import DAY
from tests.support.calendar_world import Calendar
from tests.support.reports import NOW, promise, read_call, text_of
from tests.support.small_world import IDS, SmallWorld, both, seconds, steady

ANN = {"client_name": "web", "client_version": "1.1", "network_type": "wifi", "country": "Norway"}

NORWAY = "51.2 % of 41 poor, 2.4 % of 42 before"

HISTORY = [
    (
        "From 00:45 to 00:55 UTC it was not only this call: 15 of 40 publishers on media server sfu-2 got worse, 3.2 "
        "expected, in 6 calls. In this call 1 of 2 got worse; 2 of its users were there."
    ),
    (
        f"In the other calls of {DAY}, 51.2 % of 41 judged stays were poor: more than usual (2.4 % of 42 in the days "
        "before)."
    ),
    (
        "More poor stays than usual that day: media server sfu-2 (50.0 % of 40 poor, 0 % of 40 before); network wifi "
        f"({NORWAY}); country Norway ({NORWAY}); client web 1.1 ({NORWAY})."
    ),
    "Whether web 1.1 is worse than the version before it is unknown: no lower version was seen.",
    "ann: poor in 2 of 3 judged stays in the 28 days before.",
    "Of the 28 days before, 1 is stored and counted here.",
]
"""What is said of `days_with_history`."""


def add_call(world: SmallWorld, name: str, *, poor: bool, people: int = 4, after: int = 600, **columns: Any) -> None:
    """Add a call of ten minutes, in which all or none are poor."""
    world.call(name, started_at=seconds(after), ended_at=seconds(after + 600))
    for number in range(people):
        ids = {"user_id": f"{name}-{number}", "user_session_id": f"{name}-{number}", "call_session_id": name}
        world.stay(since=after, until=after + 600, **(ANN | {"current_sfu": "sfu-2"} | columns | ids))
        world.track(steady(after, after + 600, 60, framerate=3 if poor else 30), **ids)


def the_call(**columns: Any) -> SmallWorld:
    """Return a day with the call that reports are about: ann is poor, bob is good."""
    world = SmallWorld()
    world.call(started_at=seconds(3000), ended_at=seconds(3600))
    for user, framerate in (("ann", 3), ("bob", 30)):
        world.stay(user, 3000, 3600, **(ANN | {"current_sfu": "sfu-2"} | columns))
        world.track(steady(3000, 3600, framerate=framerate), user_id=user, user_session_id=user)
    return world


def add_incident(world: SmallWorld, *, is_in_call: bool = True, value: str = "sfu-2") -> None:
    """Add an incident of ten minutes during the call."""
    key = {"started_at": seconds(2700), "scope": "media server", "scope_value": value}
    counts = {"publishers": 40, "affected": 15, "expected": 3.2, "excess": 11.8, "calls": 6}
    world.rows["incidents"].append({"session_date": DAY, "ended_at": seconds(3300)} | key | counts)
    if is_in_call:
        world.rows["incident_calls"].append(IDS | key | {"publishers": 2, "affected": 1, "affected_minutes": 5})


def days_with_history() -> Calendar:
    """Return a day on which half of the calls are poor, the day before, on which none is, and ann's stays of both."""
    calendar, before = Calendar(), SmallWorld()
    newest = the_call()
    for number in range(10):
        add_call(newest, f"new-{number}", poor=number < 5)
        add_call(before, f"old-{number}", poor=False)
    for name, framerate in (("first", 3), ("second", 30), ("third", 3)):
        ids = {"user_session_id": name, "call_session_id": "old-1" if name != "third" else "new-1"}
        day = newest if name == "third" else before
        day.stay("ann", 600, 1200, **(ANN | {"current_sfu": "sfu-1"} | ids))
        day.track(steady(600, 1200, 60, framerate=framerate), user_id="ann", **ids)
    add_incident(newest)
    calendar.add(newest)
    calendar.add(before, days_before=1)
    return calendar


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that publishes a day, or several, and returns what the report says of others."""

    def publish(source: SmallWorld | Calendar, participant: str | None = None) -> list[str]:
        calendar = source if isinstance(source, Calendar) else Calendar()
        if isinstance(source, SmallWorld):
            calendar.add(source)
        settings = Settings(data=tmp_path / "data")
        calendar.publish(settings)
        return only_this_call(report.read_call(settings.warehouse, "s1", participant))

    return publish


def test_page_and_assistants_say_the_same(tmp_path: Path) -> None:
    """The sentences are at the top of the page, before the figures, and in the answer to an assistant."""
    settings = Settings(data=tmp_path / "data")
    days_with_history().publish(settings)
    page = text_of(report.make(settings.warehouse, "s1", None, NOW))
    places = [page.index(line) for line in ("What stood out, and was it only this call?", *HISTORY, "Poor publishers")]
    assert places == sorted(places)
    assert call_report(settings.warehouse, "s1", None).only_this_call == HISTORY


@pytest.mark.parametrize(
    ("lake_setting", "app"),
    [("file", None), pytest.param("postgres", "support", marks=pytest.mark.slow)],
    indirect=["lake_setting"],
    ids=str,
)
def test_lake_says_the_same(lake_setting: str, app: str | None, tmp_path: Path) -> None:
    """A DuckLake, with and without the name of an app, has the same answers."""
    settings = Settings(data=tmp_path / "data", warehouse_file=lake_setting, app=app)
    days_with_history().publish(settings)
    assert only_this_call(report.read_call(settings.warehouse, "s1", None)) == HISTORY


def test_incident_that_the_call_belongs_to_is_named(said: Callable[..., list[str]]) -> None:
    """The sentence says who was there if the page is about one user."""
    day = the_call()
    add_incident(day)
    assert said(day)[0] == HISTORY[0]
    assert said(day, "bob")[0] == HISTORY[0].replace("2 of its users were there", "bob was there")


def test_incident_elsewhere_is_no_excuse(said: Callable[..., list[str]]) -> None:
    """One that affected nobody of the call is not called a reason."""
    day = the_call()
    add_incident(day, is_in_call=False)
    assert said(day)[0] == (
        "From 00:45 to 00:55 UTC there was an incident: 15 of 40 publishers on media server sfu-2 got worse, 3.2 "
        "expected, in 6 calls. In this call nobody is known to have got worse; 2 of its users were there."
    )


@pytest.mark.parametrize("value", ["sfu-1", "sfu-2"])
def test_incident_of_others_is_not_named(value: str, said: Callable[..., list[str]]) -> None:
    """One of another media server, or one that had ended before the call began."""
    day = the_call()
    add_incident(day, is_in_call=False, value=value)
    if value == "sfu-2":
        day.rows["incidents"][0] |= {"started_at": seconds(1200), "ended_at": seconds(1800)}
    promise(day)
    assert (
        said(day)[0] == "No incident on a media server, network, country or client of its people was found at the time."
    )


def test_incomplete_day_says_nothing_final_about_incidents(said: Callable[..., list[str]]) -> None:
    """What is not stored may change it."""
    assert said(the_call())[0] == (
        "No incident that its people belong to is known so far, but 1 of 1 call session of the day is not complete."
    )


def test_incidents_that_were_never_looked_for_are_unknown(tmp_path: Path) -> None:
    """A day whose table of incidents is not loaded has no statement about them."""
    settings, calendar = Settings(data=tmp_path / "data"), Calendar(without="incidents")
    calendar.add(the_call())
    calendar.publish(settings)
    first = only_this_call(report.read_call(settings.warehouse, "s1", None))[0]
    assert first == "Whether there was an incident at the time is unknown: incidents of the day are not stored."


def test_nothing_to_compare_with_is_unknown(said: Callable[..., list[str]]) -> None:
    """Without other calls, days and versions, nothing is called usual, good or bad."""
    assert said(the_call(client_version=None))[1:] == [
        f"How other calls of {DAY} were is unknown: no other stay of the day could be judged.",
        (
            "Too few stays to know whether they were as usual: media server sfu-2 (no other judged stay); network wifi "
            "(no other judged stay); country Norway (no other judged stay)."
        ),
        "The client version of 1 poor stay is unknown.",
        "Without a judged stay in the 28 days before, it is unknown whether this is usual: ann.",
        "Of the 28 days before, none are stored and counted here.",
    ]


def test_few_stays_are_not_called_usual(said: Callable[..., list[str]]) -> None:
    """The numbers are given, the verdict is not."""
    calendar, before, day = Calendar(), SmallWorld(), the_call()
    add_call(day, "other", poor=True)
    add_call(before, "earlier", poor=False)
    calendar.add(day)
    calendar.add(before, days_before=3)
    found = said(calendar)
    assert found[1] == (
        f"In the other calls of {DAY}, 100 % of 4 judged stays were poor; whether that is usual is unknown: 4 judged "
        "stays are stored of the days before."
    )
    assert found[2].startswith(
        "Too few stays to know whether they were as usual: media server sfu-2 (100 % of 4 poor, 0 %"
    )


def test_good_and_unjudged_calls_are_not_compared(said: Callable[..., list[str]]) -> None:
    """Nobody poor is not the same as nobody judged."""
    day = the_call()
    day.stay("cleo", 3000, 3600)
    assert said(day, "bob")[-1] == "Nobody was judged poor, so there is nothing to compare with other calls."
    assert said(day, "cleo")[-1] == "Nobody could be judged, so there is nothing to compare with other calls."


def test_worse_release_is_named(said: Callable[..., list[str]]) -> None:
    """The verdict and the figures are those of release_comparison."""
    day = the_call()
    for version, poor in (("1.0", 10), ("1.1", 130)):
        for number in range(220):
            name = f"{version}-{number}"
            ids = {"user_id": name, "user_session_id": name, "call_session_id": "other"}
            day.stay(since=600, until=1200, **(ANN | ids | {"client_version": version}))
            day.track(steady(600, 1200, 120, framerate=3 if number < poor else 30), **ids)
    day.call("other", started_at=seconds(600), ended_at=seconds(1200))
    (line,) = [line for line in said(day) if "version" in line and "web 1.1" in line]
    assert line.startswith("Client version judged worse: web 1.1: 59.0 % of 222 publishers poor, ")
    assert line.endswith("more than with 1.0 on like networks and countries.")


def test_large_database_is_not_searched(said: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of stays, the report says where the answer is instead of taking long."""
    monkeypatch.setattr(around, "MAX_STAYS", 1)
    monkeypatch.setattr(around, "MAX_COMPARED", 1)
    found = said(the_call())
    assert found[1].startswith("Whether the shares of poor stays were usual is not answered here")
    assert found[2].startswith("Whether a client version is worse is not answered here")


def test_fewer_days_are_counted_in_a_large_database(
    said: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest days that have so many stays together are what is usual, and the page says how many days these are."""
    calendar = Calendar()
    calendar.add(the_call())
    for days in (1, 2, 3):
        before = SmallWorld()
        add_call(before, "earlier", poor=False)
        calendar.add(before, days_before=days)
    monkeypatch.setattr(around, "MAX_STAYS", 10)
    assert said(calendar)[-1] == "Of the 28 days before, 2 are stored and counted here."


def test_worst_people_are_described(published: Callable[[], Path]) -> None:
    """In what way they were poor, for how long, and when it was worst."""
    (described,) = worst_of(read_call(published()))
    assert described == (
        "ann, camera: under 7 frames per second for 4 min 05 s of 16 min 40 s; worst from 00:05 to 00:10 UTC."
    )


@pytest.mark.parametrize(
    ("rule", "points", "expected"),
    [
        (
            "max_send_stall_share",
            {"framerate": 0},
            "no frame was sent for 1 min 40 s (1 stall); worst from 00:05 to 00:07 UTC.",
        ),
        (
            "min_bitrate",
            {"bitrate": 2e4},
            "a mean bitrate of 918 kbit/s, under 950 kbit/s; worst from 00:05 to 00:07 UTC.",
        ),
    ],
)
def test_each_rule_has_its_words(
    rule: str, points: dict[str, float], expected: str, tmp_path: Path, said: Callable[..., list[str]]
) -> None:
    """Send stalls have the time without frames, low bitrates the mean and the limit."""
    day = SmallWorld()
    day.call()
    day.stay("ann", 0, 1200)
    day.track(both(steady(0, 295), steady(300, 395, **points), steady(400, 1195)))
    values = {"max_low_framerate_share": "", "max_send_stall_share": "", "min_bitrate": "", rule: ""} | {
        rule: "950000" if rule == "min_bitrate" else "0.05"
    }
    row = {"track_kind": "camera", "low_framerate": "7", "strict_framerate": "", "min_active_seconds": "30"}
    row |= {"min_coverage": "0.5"} | values
    (tmp_path / "data").mkdir()
    header = ",".join(THRESHOLDS)
    line = ",".join(row[name] for name in THRESHOLDS)
    (tmp_path / "data" / "quality_thresholds.csv").write_text(f"{header}\n{line}\n")
    said(day)
    (described,) = worst_of(report.read_call(Settings(data=tmp_path / "data").warehouse, "s1", None))
    assert described == f"ann, camera: {expected}"
