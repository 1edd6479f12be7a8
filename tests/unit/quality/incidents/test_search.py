"""What is an incident, whose it is, and what is none: on worlds made minute by minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.incident_worlds import FALLS, IncidentWorld, crowd, minute_of

SINCE, UNTIL = 615, 625

HALF = {"current_sfu": "sfu-2"}


def two_servers(number: int) -> dict[str, Any]:
    """Put every second call on another media server."""
    return HALF if number // 2 % 2 else {}


def planted(people: int = 80, affected: int = 15, **given: Any) -> tuple[IncidentWorld, list[int]]:
    """Return people of whom some on one media server get worse, and who these are."""
    world = crowd(people, 30, of=given.pop("of", two_servers))
    chosen = [number for number in range(people) if world.stays[number]["current_sfu"] == "sfu-2"][:affected]
    world.worsen(
        world.at(chosen, given.pop("since", SINCE), given.pop("until", UNTIL)), "framerate", np.random.default_rng(0)
    )
    return world, chosen


@pytest.mark.parametrize("fall", FALLS)
def test_incident_of_a_media_server_is_found(fall: str) -> None:
    """15 of 40 get worse for ten minutes: one row with its time, its scope, its people and its calls."""
    world = crowd(80, 30, of=two_servers)
    chosen = [number for number in range(80) if number // 2 % 2][:15]
    world.worsen(world.at(chosen, SINCE, UNTIL), fall, np.random.default_rng(0))
    (row,), calls = world.find()
    assert (minute_of(row, "started_at"), minute_of(row, "ended_at")) == (SINCE, UNTIL)
    assert (row["scope"], row["scope_value"]) == ("media server", "sfu-2")
    assert (row["publishers"], row["affected"], row["calls"]) == (40, 15, 8)
    assert 0 < row["expected"] < 3
    assert row["excess"] == row["affected"] - row["expected"]
    assert sorted(call["affected"] for call in calls) == [1, 2, 2, 2, 2, 2, 2, 2]
    assert sum(call["affected_minutes"] for call in calls) == 150


@pytest.mark.parametrize(
    ("scope", "value", "columns"),
    [
        ("country", "Kenya", {"country": "Kenya"}),
        ("country", "KE", {"country": None, "country_iso_code": "KE"}),
        ("network", "satellite", {"network_type": "satellite"}),
        ("client", "web 9", {"client_name": "web", "client_version": "9"}),
        ("client", "kiosk", {"client_name": "kiosk", "client_version": None}),
        ("media server", "sfu-2", {"current_sfu": "sfu-2"}),
    ],
)
def test_scope_is_the_one_that_the_affected_share(scope: str, value: str, columns: dict[str, Any]) -> None:
    """Whatever else the people have in common with others."""
    world = crowd(160, 30, of=lambda number: columns if number % 4 == 0 else {})
    world.worsen(world.at(range(0, 60, 4), SINCE, UNTIL), "bitrate", np.random.default_rng(0))
    (row,), _ = world.find()
    assert (row["scope"], row["scope_value"], row["affected"]) == (scope, value, 15)


def test_incident_of_everyone_has_no_smaller_scope() -> None:
    """People of all servers, countries and clients."""
    world = crowd(120, 30, of=two_servers)
    world.worsen(world.at(range(0, 120, 3), SINCE, UNTIL), "framerate", np.random.default_rng(0))
    (row,), _ = world.find()
    assert (row["scope"], row["scope_value"], row["affected"]) == ("everything", "everything", 40)


def test_two_incidents_are_two_rows() -> None:
    """At other times, and on other servers at the same time; each keeps its own people."""
    world = crowd(160, 60, of=two_servers)
    for server, since in (("sfu-1", 610), ("sfu-2", 611), ("sfu-1", 640)):
        affected = 50 if server == "sfu-2" else 25
        chosen = [number for number, row in enumerate(world.stays) if row["current_sfu"] == server][:affected]
        world.worsen(world.at(chosen, since, since + 8), "framerate", np.random.default_rng(0))
    rows, calls = world.find()
    assert sum(row["affected"] for row in rows) == 100
    assert {minute_of(row, "started_at") for row in rows} <= {610, 611, 640}
    keys = [(row["started_at"], row["scope"], row["scope_value"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {(call["started_at"], call["scope"], call["scope_value"]) for call in calls} == set(keys)


def _office(number: int) -> dict[str, Any]:
    return {"client_ip": f"192.0.2.{number}", "city": "Oslo", "country": "Norway"} if number % 8 == 0 else {}


def _same_call(number: int) -> dict[str, Any]:
    return {"call_id": "all-hands", "call_session_id": "all-hands"} if number % 8 == 0 else {}


def _one_user(number: int) -> dict[str, Any]:
    return {"user_id": "robot", "client_ip": None, "city": f"{number}"} if number % 8 == 0 else {}


@pytest.mark.parametrize("of", [_office, _same_call, _one_user])
def test_people_with_a_reason_of_their_own_are_no_incident(of: Callable[[int], dict[str, Any]]) -> None:
    """Ten people of one media server in one office, though in ten calls; in one call; one user in ten calls."""
    assert len(_ten_worse(lambda _: {})) == 1, "the same ten people are an incident if they have nothing in common"
    assert _ten_worse(of) == []


def _ten_worse(of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    world = crowd(160, 30, of=lambda number: (HALF if number % 4 == 0 else {}) | of(number))
    world.worsen(world.at(range(0, 80, 8), SINCE, UNTIL), "framerate", np.random.default_rng(0))
    return world.find()[0]


def test_office_without_addresses_is_told_by_its_call_and_city() -> None:
    """With `CALL_METRICS_CLIENT_IP=drop`, people of one call, city and type of network count as one."""
    hidden = {"client_ip": None, "city": "Oslo", "network_type": "ethernet"}
    in_calls_of_five = {number: f"call-{number // 40}" for number in range(0, 80, 8)}
    world = crowd(160, 30, of=lambda number: hidden | {"current_sfu": f"sfu-{number % 4}"})
    for number, call in in_calls_of_five.items():
        world.stays[number] |= {"call_id": call, "call_session_id": call}
    world.worsen(world.at(list(in_calls_of_five), SINCE, UNTIL), "framerate", np.random.default_rng(0))
    assert world.find()[0] == []


def test_country_that_is_always_bad_has_no_incident() -> None:
    """Its people get worse for four minutes again and again, many of them at any time."""
    world = crowd(120, 240, of=lambda number: {"country": "Kenya"} if number % 3 == 0 else {"country": "Norway"})
    random = np.random.default_rng(1)
    for number in range(0, 120, 3):
        for since in range(600 + int(random.integers(9)), 830, 9):
            world.worsen(world.at([number], since, since + 4), "framerate", random)
    assert world.find()[0] == []
    chosen = list(range(1, 120, 3))[:15]
    world.worsen(world.at(chosen, 700, 710), "framerate", random)
    (row,), _ = world.find()
    assert (row["scope_value"], minute_of(row, "started_at")) == ("Norway", 700)


def test_bad_connections_from_the_start_are_no_incident() -> None:
    """Whoever is bad when the first data comes, did not get worse."""
    world, chosen = planted(since=600, until=610)
    assert world.find() == ([], [])
    world.worsen(world.at(chosen, 600, 640), "framerate", np.random.default_rng(0))
    assert world.find() == ([], [])


def test_missing_data_is_neither_good_nor_bad() -> None:
    """No data for ten minutes is no incident. Within one, it takes people out and makes no one affected."""
    world, chosen = planted(affected=20)
    world.drop(world.at(chosen, SINCE, UNTIL))
    assert world.find() == ([], [])
    world, chosen = planted(affected=20)
    world.drop(world.at(chosen[:5], SINCE, UNTIL))
    (row,), _ = world.find()
    assert (row["publishers"], row["affected"]) == (35, 15)
    world, chosen = planted(affected=20)
    world.drop(world.at(chosen, SINCE + 3, SINCE + 5))
    (row,), _ = world.find()
    assert (minute_of(row, "started_at"), minute_of(row, "ended_at"), row["affected"]) == (SINCE, UNTIL, 20)


@pytest.mark.parametrize("start", [0, 1425])
def test_incident_at_an_edge_of_the_day(start: int) -> None:
    """Minutes after midnight, and over the next one: it is of the day on which its calls started."""
    world = crowd(80, 40, start=start, of=two_servers)
    chosen = [number for number in range(80) if number // 2 % 2][:15]
    world.worsen(world.at(chosen, start + 10, start + 20), "framerate", np.random.default_rng(0))
    (row,), _ = world.find()
    assert (minute_of(row, "started_at"), minute_of(row, "ended_at")) == (start + 10, start + 20)


def test_end_is_known_from_those_who_stay() -> None:
    """Most of the affected leave before it is over; if all do, it ends with the last of them."""
    world, chosen = planted()
    world.drop(world.at(chosen[:10], SINCE + 6, 700))
    (row,), _ = world.find()
    assert minute_of(row, "ended_at") == UNTIL
    world, chosen = planted()
    world.drop(world.at(chosen, SINCE + 6, 700))
    (row,), _ = world.find()
    assert minute_of(row, "ended_at") == SINCE + 6


def test_few_people_are_no_incident() -> None:
    """Four of four is too few, whatever they have in common."""
    world, _ = planted(people=40, affected=4, of=lambda number: HALF if number % 10 == 0 else {})
    assert world.find() == ([], [])


def test_result_does_not_depend_on_the_order_of_stays() -> None:
    """The same people in another order give the same rows."""
    rows = []
    for seed in (None, 1):
        world = IncidentWorld.draw(5, publishers=600, hours=(8, 11))
        world.plant("country", np.random.default_rng(5), fall="framerate", of=40)
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(world.stays))
            place = np.argsort(order)
            world.stays = [world.stays[number] for number in order]
            moved = np.lexsort((world.minute, place[world.stay]))
            world.stay = place[world.stay]
            for name in ("stay", "minute", "framerate", "stalled", "bitrate"):
                setattr(world, name, getattr(world, name)[moved])
        rows.append(world.find())
    assert len(rows[0][0]) == 1
    assert rows[0][1] == rows[1][1]
    expected = [row.pop("expected") for found in rows for row in found[0]]
    assert expected[0] == pytest.approx(expected[1])
    excess = [row.pop("excess") for found in rows for row in found[0]]
    assert excess[0] == pytest.approx(excess[1])
    assert rows[0][0] == rows[1][0]


def test_day_without_anyone_has_no_incident() -> None:
    """No stays, and stays without a camera."""
    world = crowd(6, 30)
    world.drop(world.at(range(6), 0, 2000))
    assert world.find() == ([], [])


# A smaller version of `python -m tests.bench.incidents`, which prints the figures.


@pytest.mark.parametrize(("scope", "column"), [("media server", "current_sfu"), ("country", "country")])
def test_planted_incidents_are_found_among_bad_connections(scope: str, column: str) -> None:
    """All of some, in days with the trouble that there always is, with their time and their scope."""
    for seed, fall in enumerate(FALLS):
        world = IncidentWorld.draw(seed, publishers=1000, hours=(8, 14))
        planted = world.plant(column, np.random.default_rng(seed), fall=fall)
        (row,), _ = world.find()
        assert abs(minute_of(row, "started_at") - planted.since) <= 2
        assert abs(minute_of(row, "ended_at") - planted.until) <= 2
        assert (row["scope"], row["scope_value"]) == (scope, planted.value)


def test_days_without_an_incident_have_none() -> None:
    """None of ten days of bad connections, calls that go wrong, and a bad office has one."""
    worlds = []
    for seed in range(10):
        world = IncidentWorld.draw(seed, publishers=700, hours=(8, 14), trouble=1 + 3 * (seed % 2), call_trouble=0.03)
        world.office(np.random.default_rng(seed))
        worlds.append(world)
    assert [world.find()[0] for world in worlds] == [[]] * 10
