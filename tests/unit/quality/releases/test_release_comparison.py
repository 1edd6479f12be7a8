"""The view `release_comparison` and the macro `compare_releases`: which versions, which numbers, which verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.quality.releases.compared import compared_releases
from tests.support.release_worlds import Columns, add, opened, people_of, rows_of
from tests.support.releases_by_numpy import Stay, comparison
from tests.support.small_world import only

RANDOM = np.random.default_rng(11)


def compared(*stays: Columns, query: str = "FROM release_comparison") -> list[dict[str, Any]]:
    """Return the rows of a query on a database with these stays."""
    with opened() as database:
        for columns in stays:
            add(database, columns)
        return rows_of(database, query)


def group(version: str, good: int, poor: int, **given: Any) -> Columns:
    """Return columns for so many people with a stay each."""
    people = {"user": [f"{version} {number}" for number in range(good + poor)]}
    return people | {"version": version, "poor": [False] * good + [True] * poor} | given


def test_worked_example() -> None:
    """By hand: 2 % of 400 and 10 % of 100 are poor with 1.0; 7 % of 100 and 15 % of 300 with 1.1, mostly on cellular.

    Standardized to the people of 1.1: (100 × 5 + 300 × 5) / 400 = 5 points. The raw difference is 9.4.
    """
    row = only(
        compared(
            group("1.0", 392, 8, network="wifi"),
            group("1.0", 90, 10, network="cellular", user=[f"c{number}" for number in range(100)]),
            group("1.1", 93, 7, network="wifi"),
            group("1.1", 255, 45, network="cellular", user=[f"d{number}" for number in range(300)]),
        )
    )
    assert (row["client_version"], row["baseline_version"]) == ("1.1", "1.0")
    assert (row["publishers"], row["poor"], row["poor_share"]) == (400, 52, 0.13)
    assert (row["baseline_publishers"], row["baseline_poor"], row["baseline_poor_share"]) == (500, 18, 0.036)
    assert row["difference"] == pytest.approx(0.05)
    # Shares of poor people: 7, 15, 2 and 10 %. Variances of the two parts and their weights 1/4 and 3/4:
    new = (0.0625 * 0.07 * 0.93 / 100 + 0.5625 * 0.15 * 0.85 / 300) * 400 / 399
    old = (0.0625 * 0.02 * 0.98 / 400 + 0.5625 * 0.10 * 0.90 / 100) * 500 / 499
    # With both together, 3 % of 500 and 13.75 % of 400 are poor: more than with 1.0 alone on cellular.
    old_at_least = 0.0625 * 0.03 * 0.97 / 400 + 0.5625 * 0.1375 * 0.8625 / 100
    assert old_at_least > old
    few = 0.25 * (0.0625 * (1 / 100**2 + 1 / 400**2) + 0.5625 * (1 / 300**2 + 1 / 100**2))
    t = 0.016 / (0.0625 * (1 / 100 + 1 / 400) + 0.5625 * (1 / 300 + 1 / 100))
    margin = ((new + old_at_least + few) * 2 * (t + 1) / t * np.log((t + 1) ** 0.5 / 0.05)) ** 0.5
    assert row["difference_low"] == pytest.approx(0.05 - margin)
    assert row["difference_high"] == pytest.approx(0.05 + margin)
    assert (row["verdict"], row["strata"], row["covered_share"]) == ("no difference seen", 2, 1)
    assert (row["people"], row["baseline_people"]) == (400, 500)


def test_numbers_are_those_of_numpy() -> None:
    """People with several stays, on several networks, with both versions, in small strata, and without a judgement."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        n = 4000
        stays = {
            "user": random.integers(0, 900, n),
            "version": random.choice(["1.0", "1.1"], n),
            "network": random.choice(["wifi", "cellular", None], n, p=[0.6, 0.3, 0.1]),
            "country": random.choice(["Norway", "Chile", "Kenya"], n, p=[0.7, 0.295, 0.005]),
            "os": random.choice(["iOS 17.1", "iOS 17.2", "Android 14", None], n),
            "judged": random.random(n) < 0.9,
        }
        stays["poor"] = random.random(n) < 0.02 + 0.0002 * stays["user"]
        row = only(compared(stays))
        listed: list[Stay] = [
            (f"{user}", version, f"{network} {country} {(os or '')[:3]}", bool(poor))
            for user, version, network, country, os, poor, judged in zip(
                *(stays[name] for name in ("user", "version", "network", "country", "os", "poor", "judged")),
                strict=True,
            )
            if judged
        ]
        expected = comparison(listed, "1.1", "1.0")
        assert expected["difference_low"] is not None
        assert expected["strata"] < 18
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_verdicts() -> None:
    """Worse, better, neither, or too few people on like networks."""
    old = group("1.0", 900, 100)
    assert only(compared(old, group("1.1", 700, 300)))["verdict"] == "worse"
    assert only(compared(old, group("1.1", 990, 10)))["verdict"] == "better"
    assert only(compared(old, group("1.1", 895, 105)))["verdict"] == "no difference seen"
    assert only(compared(old, group("1.1", 150, 49)))["verdict"] == "too few"
    elsewhere = only(compared(old, group("1.1", 700, 300, network="cellular")))
    assert (elsewhere["verdict"], elsewhere["difference"], elsewhere["people"]) == ("too few", None, 0)
    assert (elsewhere["poor_share"], elsewhere["strata"], elsewhere["covered_share"]) == (0.3, 0, 0)


@pytest.mark.parametrize("people", [199, 200])
def test_compared_releases_have_enough_people(people: int) -> None:
    """The view is asked from 200 people of each version, when it has a verdict. Stays of a person count once."""
    with opened() as database:
        add(database, group("1.0", 190, 10))
        add(database, group("1.1", people - 100, 100))
        add(database, group("1.1", 99, 0, user=[f"1.1 {number}" for number in range(99)]))
        add(database, group("1.0", 300, 0, client="other"))
        rows = compared_releases(database)
        verdicts = rows_of(database, "SELECT verdict FROM release_comparison")
    assert [row["verdict"] for row in rows] == ["worse"] * (people >= 200)
    assert [row["verdict"] for row in verdicts] == ["worse" if people >= 200 else "too few"]


def test_too_few_have_no_interval() -> None:
    """199 people of either version are too few; a stratum counts from 20 people of both."""
    few = only(compared(group("1.0", 190, 10), group("1.1", 99, 100)))
    assert (few["people"], few["difference"]) == (199, pytest.approx(100 / 199 - 0.05))
    assert (few["difference_low"], few["difference_high"], few["verdict"]) == (None, None, "too few")
    enough = only(compared(group("1.0", 190, 10), group("1.1", 100, 100)))
    assert enough["verdict"] == "worse"
    more = group("1.1", 19, 0, network="cellular", user=range(19))
    part = only(compared(group("1.0", 180, 20), group("1.0", 0, 20, country="Chile", user=range(20)), more, old_1_1()))
    assert (part["strata"], part["people"], part["baseline_people"]) == (1, 200, 200)
    assert part["covered_share"] == pytest.approx(200 / 219)


def old_1_1() -> Columns:
    """Return 200 people with version 1.1 on the usual network."""
    return group("1.1", 180, 20)


def test_unclassified_stays_are_neither_good_nor_poor() -> None:
    """They change no number, however many they are."""
    judged = (group("1.0", 280, 20), group("1.1", 270, 30))
    missing = group("1.1", 0, 5000, judged=False, user=range(5000))
    row, more = only(compared(*judged)), only(compared(*judged, missing))
    assert {name: more[name] for name in row} == pytest.approx(row)


def test_unknown_networks_are_compared_among_each_other() -> None:
    """A network or country that the source does not have is a stratum of its own, and no reason to leave people out."""
    old, new = (group(version, 250, 50, network=None, country=None) for version in ("1.0", "1.1"))
    row = only(compared(old, new))
    assert (row["strata"], row["covered_share"], row["verdict"]) == (1, 1, "no difference seen")


def test_ten_stays_are_not_ten_people() -> None:
    """If a person's stays are all alike, more of them make the interval no narrower."""
    people = {
        version: {"user": np.arange(300) + 1000 * place, "version": version, "poor": np.arange(300) < 30 + 30 * place}
        for place, version in enumerate(("1.0", "1.1"))
    }
    once = only(compared(*people.values()))
    ten = only(
        compared(
            *(
                {**columns, **{name: np.tile(columns[name], 10) for name in ("user", "poor")}}
                for columns in people.values()
            )
        )
    )
    assert ten["publishers"] == 10 * once["publishers"]
    for name in ("difference", "difference_low", "difference_high", "people"):
        assert ten[name] == pytest.approx(once[name])


def test_people_on_several_networks_are_one() -> None:
    """The same people on two networks give a wider interval than as many others would."""

    def both_networks(shift: int) -> list[Columns]:
        return [
            {
                "user": np.arange(300) + 1000 * place + shift * number * 10_000,
                "version": version,
                "poor": np.arange(300) < 30,
                "network": network,
            }
            for place, version in enumerate(("1.0", "1.1"))
            for number, network in enumerate(("wifi", "cellular"))
        ]

    same, others = only(compared(*both_networks(0))), only(compared(*both_networks(1)))
    assert (same["people"], others["people"]) == (300, 600)
    ratio = (same["difference_high"] - same["difference_low"]) / (others["difference_high"] - others["difference_low"])
    assert ratio == pytest.approx(2**0.5, rel=0.01)


def test_version_before_is_the_most_used_lower_one_at_that_time() -> None:
    """It is counted from 28 days before the first day to that day; 3.0 had its day long before."""
    stays = [
        group("3.0", 500, 0, day=0),
        group("3.1", 60, 0, day=40),
        group("3.2-rc.1", 10, 0, day=41),
        group("4.0", 90, 0, day=41),
        group("3.2", 70, 0, day=68),
        group("2.9", 999, 0, day=69),
    ]
    pairs = {row["client_version"]: row["baseline_version"] for row in compared(*stays)}
    assert pairs == {"3.0": "2.9", "3.1": "2.9", "3.2-rc.1": "3.1", "3.2": "3.1", "4.0": "3.1"}


def test_versions_that_are_compared_share_the_error_rate() -> None:
    """With three versions to compare the interval is wider than with one; small and old ones do not count."""
    stays = [group("1.0", 270, 30, day=50), group("1.1", 270, 30, day=50)]
    alone, *_ = compared(*stays)
    small = by_version(compared(*stays, group("1.2", 5, 0, day=50)), "1.1")
    assert small["difference_high"] == pytest.approx(alone["difference_high"])
    old = [group(version, 270, 30, day=0) for version in ("0.7", "0.8", "0.9")]
    counted = compared(*stays, *old, query="SELECT DISTINCT comparisons FROM release_pairs")
    assert counted == [{"comparisons": 2}], "of 1.0 and of 1.1"
    three = by_version(compared(*stays, group("1.2", 270, 30, day=50), group("1.3", 270, 30, day=50)), "1.1")
    t = 0.016 * 150
    ratio = (np.log((t + 1) ** 0.5 * 3 / 0.05) / np.log((t + 1) ** 0.5 / 0.05)) ** 0.5
    assert three["difference_high"] == pytest.approx(alone["difference_high"] * ratio)
    other_client = [group(version, 270, 30, day=50, client="ios") for version in ("1.0", "1.1", "1.2")]
    other = by_version(compared(*stays, *other_client), "1.1")
    assert other["difference_high"] == pytest.approx(alone["difference_high"])


def by_version(rows: list[dict[str, Any]], version: str, client: str = "web") -> dict[str, Any]:
    """Return the row of a version."""
    return only([row for row in rows if (row["client_version"], row["client_name"]) == (version, client)])


def test_any_two_versions_can_be_compared() -> None:
    """The macro has the columns and, for the version before, the row of the view. Turned round, so is the sign."""
    with opened() as database:
        for place, version in enumerate(("1.0", "1.1", "1.2")):
            add(
                database,
                people_of(
                    RANDOM, 900, version=version, user=np.arange(900) + 1000 * place, poor=RANDOM.random(900) < 0.1
                ),
            )
        rows = rows_of(database, "FROM release_comparison")
        row = by_version(rows, "1.2")
        assert rows_of(database, f"FROM compare_releases('web', '1.2', '{row['baseline_version']}')") == [row]
        there = only(rows_of(database, "FROM compare_releases('web', '1.2', '1.0')"))
        back = only(rows_of(database, "FROM compare_releases('web', '1.0', '1.2')"))
        assert list(there) == list(row)
        assert there["difference"] == pytest.approx(-back["difference"], abs=0.01)
        assert there["publishers"] == back["baseline_publishers"] == 900
        for arguments in ("'web', '1.0', '1.0'", "'web', '1.0', '9'", "'ios', '1.0', '1.1'", "NULL, '1.0', '1.1'"):
            assert rows_of(database, f"FROM compare_releases({arguments})") == []
