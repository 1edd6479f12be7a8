"""The view `client_releases`: versions in their order, when they were seen, and how many publishers were poor."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from tests.support.release_worlds import FIRST_DAY, add, opened, rows_of


def test_counts_by_hand() -> None:
    """Two versions of a client: days of all stays, counts of judged ones alone, people once."""
    with opened() as database:
        add(
            database,
            {
                "user": ["ann", "ann", "ann", "bob", "cid", "dan"],
                "version": ["1.0", "1.0", "1.0", "1.0", "1.0", "1.1"],
                "day": [2, 3, 4, 3, 9, 5],
                "poor": [True, False, True, False, False, False],
                "judged": [True, True, True, True, False, False],
            },
        )
        old, new = rows_of(database, "FROM client_releases")
    assert old == {
        "client_name": "web",
        "client_version": "1.0",
        "version_order": 1,
        "first_day": FIRST_DAY + timedelta(days=2),
        "last_day": FIRST_DAY + timedelta(days=9),
        "stays": 5,
        "people": 2,
        "publishers": 4,
        "poor": 2,
        "poor_share": 0.5,
    }
    assert (new["stays"], new["people"], new["publishers"], new["poor"], new["poor_share"]) == (1, 0, 0, 0, None)


VERSIONS = [
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1-rc.1+build.9",
    "1.0.1",
    "v1.2",
    "1.9.2",
    "1.10.0-beta.2",
    "1.10.0",
    "2",
    "120.0.6099.71",
    "120.0.6099.109",
    "20261126123456789012345.1",
    "1.",
    "1.0.0-",
    "Version 7",
    "dev",
    "ünï·✓",
]
"""Lowest first. The pre-releases of 1.0.0 are the example of semver.org, section 11."""


@pytest.mark.parametrize("seed", range(3))
def test_versions_are_in_their_order(seed: int) -> None:
    """Numbers count as numbers, a pre-release is before its release, and what is no version is last."""
    shuffled = random.Random(seed).sample(VERSIONS, len(VERSIONS))
    with opened() as database:
        add(database, {"user": range(len(VERSIONS)), "version": shuffled, "poor": False})
        rows = rows_of(database, "FROM client_releases")
    assert [row["client_version"] for row in rows] == VERSIONS
    assert [row["version_order"] for row in rows] == list(range(1, len(VERSIONS) + 1))


def test_stays_without_a_client_or_version_are_left_out() -> None:
    """Neither NULL nor an empty text is a client or a version."""
    with opened() as database:
        add(
            database,
            {
                "user": range(6),
                "client": ["web", None, "web", "", "web", " "],
                "version": [None, "1.0", "", "1.0", "1.0", "1.0"],
                "poor": True,
            },
        )
        assert [row["stays"] for row in rows_of(database, "FROM client_releases")] == [1]
        assert rows_of(database, "FROM release_comparison") == []
        add(database, {"user": [9], "client": [None], "version": [None], "poor": True})
        assert rows_of(database, "FROM compare_releases(NULL, NULL, NULL)") == []


def test_nothing_gives_no_rows() -> None:
    """An empty database is no error."""
    with opened() as database:
        assert [rows_of(database, f"FROM {view}") for view in ("client_releases", "release_comparison")] == [[], []]
