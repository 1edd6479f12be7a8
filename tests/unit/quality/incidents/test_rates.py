"""What is usual."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.quality.incidents.rates import Rates, personal_chances, scope_rates, shock_chance

DAY = Rates(200.0, 100_000.0, np.array([0.0, 10.0]), np.array([100.0, 100.0]), (4, 30_000.0), (0, 0.0))
"""A day with an onset in 500 minutes, and two users."""

SIZE = 600


def test_scope_that_is_worse_than_the_day_has_a_rate_of_its_own() -> None:
    """With much data its own counts, with little that of the day."""
    minutes = np.full(SIZE, 50.0)
    bad = np.zeros(SIZE)
    bad[::2] = 5
    assert scope_rates(DAY, bad, minutes, 2)[300] == pytest.approx(0.05, rel=0.1)
    few = np.zeros(SIZE)
    few[300] = 1
    assert scope_rates(DAY, bad / 5 * few, few, 2)[100] == pytest.approx(0.002, rel=0.5)


def test_what_is_tested_is_not_usual() -> None:
    """A hundred onsets within two minutes change the rate elsewhere, and not that of their own test."""
    minutes, onsets = np.full(SIZE, 50.0), np.zeros(SIZE)
    calm = scope_rates(DAY, onsets, minutes, 2)[300]
    onsets[300] = 100
    rates = scope_rates(DAY, onsets, minutes, 2)
    assert rates[300] <= calm
    assert rates[450] > calm


def test_busy_hour_raises_what_is_usual_in_it() -> None:
    """Many onsets in the hour around raise the rate; a calm hour does not lower it."""
    minutes, onsets = np.full(SIZE, 50.0), np.zeros(SIZE)
    onsets[200:320] = 2
    rates = scope_rates(DAY, onsets, minutes, 2)
    assert rates[260] > 2 * rates[500]
    assert rates[500] == pytest.approx((onsets.sum() / minutes.sum() * 30_000 + 0.002 * 2_000) / 32_000, rel=0.05)


def test_person_with_a_bad_connection_has_a_chance_of_their_own() -> None:
    """Ten onsets in a hundred minutes are more than none; the one that is being tested does not count."""
    calm, bad = personal_chances(DAY, 0.002, np.array([0, 1]), np.zeros(2), 2)
    assert bad > 10 * calm
    assert personal_chances(DAY, 0.002, np.array([1]), np.array([10.0]), 2)[0] == pytest.approx(calm)


def test_shocks_of_the_tested_do_not_count() -> None:
    """Three calls of the test had one: only that of the fourth is usual."""
    calls, worse = np.repeat([0, 1, 2, 3], 3), np.repeat([True, True, True, False], 3)
    assert shock_chance(DAY.call_shocks, calls, worse, 2) == pytest.approx(2 * 2 / 40_000)
    assert shock_chance(DAY.call_shocks, calls, worse & False, 2) == pytest.approx(2 * 5 / 40_000)
