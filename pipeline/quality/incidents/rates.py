"""What is usual: how often people get worse, in a scope, around a time of the day, and for each person.

A rate is a number of onsets per minute in which there could have been one. Rates are drawn towards those of more
people, as in a gamma-Poisson model: those of a scope towards all publishers of the day, those of a person towards the
scope. So a scope that is always bad, and a person with a bad connection, have an expectation of their own, and few
data do not make an extreme rate. Around a time of the day, a scope's rate is raised if it is higher in the hour before
and after, and never lowered.

What is being tested never counts as usual: its own minutes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.quality.incidents.episodes import Episodes, StayMinutes
from pipeline.quality.incidents.publishers import Publishers

__all__ = ["Rates", "personal_chances", "scope_rates", "shock_chance"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_MINUTES = 1_000.0
"""Minutes with one onset that are added to those of a day, so that a short day does not say "never"."""

SCOPE_MINUTES = 2_000.0
"""Minutes at the rate of the day that are added to those of a scope."""

PERSON_MINUTES = 120.0
"""Minutes at the rate of the scope that are added to those of a person."""

NEAR, MARGIN = 60, 5
"""Minutes before and after that are near, without those that are nearer than the margin."""

NEAR_ONSETS = 5.0
"""Onsets that are added on both sides when the rate near a time is compared with that of the day."""

SHOCK_MINUTES = 10_000.0
"""Minutes of calls, or of networks, with one shock that are added to those of a day: one in 200 calls of 50 minutes."""

SHOCK_PEOPLE, SHOCK_SPAN = 3, 2
"""A shock: so many people of a call or a network got worse within so many minutes."""


@dataclass(frozen=True)
class Rates:
    """What is usual on a day.

    Attributes:
        onsets: onsets of all publishers.
        minutes: minutes in which there could have been one.
        user_onsets: onsets by number of the user.
        user_minutes: minutes by number of the user.
        call_shocks: how often a call's people got worse together, and in how many minutes of calls.
        network_shocks: the same for networks.
    """

    onsets: float
    minutes: float
    user_onsets: Floats
    user_minutes: Floats
    call_shocks: tuple[int, float]
    network_shocks: tuple[int, float]

    @classmethod
    def of(cls, minutes: StayMinutes, episodes: Episodes, publishers: Publishers) -> Rates:
        """Return the rates of a day."""
        users = int(publishers.user.max(initial=-1)) + 1
        stay, begins = episodes.stay[episodes.has_onset], episodes.begins[episodes.has_onset]
        return cls(
            float(len(stay)),
            float(episodes.at_risk.sum()),
            np.bincount(publishers.user[stay], minlength=users).astype(np.float64),
            np.bincount(publishers.user[minutes.stay[episodes.at_risk]], minlength=users).astype(np.float64),
            *(
                _shocks(units, publishers.user, minutes, stay, begins)
                for units in (publishers.call, publishers.network)
            ),
        )


def scope_rates(rates: Rates, onsets: Floats, minutes: Floats, width: int) -> Floats:
    """Return the usual rate of a scope at each minute of a day, as seen by a test of the `width` minutes from there.

    `onsets` and `minutes` have one element per minute: how many onsets the scope has, and how many there could be.
    """
    size = len(onsets)
    tested = _sums(onsets, 0, width)
    overall = (rates.onsets - tested + 1) / (rates.minutes + DAY_MINUTES)
    rate: Floats = (onsets.sum() - tested + SCOPE_MINUTES * overall) / (minutes.sum() + SCOPE_MINUTES)
    near_onsets, near_minutes = np.zeros(size), np.zeros(size)
    for begin, end in ((-NEAR, -MARGIN), (width + MARGIN, width + NEAR)):
        near_onsets += _sums(onsets, begin, end)
        near_minutes += _sums(minutes, begin, end)
    return rate * np.maximum(1, (near_onsets + NEAR_ONSETS) / (rate * near_minutes + NEAR_ONSETS))


def personal_chances(rates: Rates, rate: float, users: Ints, own: Floats, minutes: Floats | float) -> Floats:
    """Return how probable it is that each of some users gets worse within some minutes, as usual.

    `rate` is that of their scope. `own` are the onsets of each that are being tested, which do not count.
    """
    onsets = rates.user_onsets[users] - own
    personal = (onsets + PERSON_MINUTES * rate) / (rates.user_minutes[users] + PERSON_MINUTES)
    chance: Floats = -np.expm1(-np.maximum(personal, 1e-9) * minutes)
    return chance


def _sums(counts: Floats, begin: int, end: int) -> Floats:
    """Return for each place the sum of the counts from `begin` to `end` (excluded) places after it."""
    total = np.concatenate([[0.0], np.cumsum(counts)])
    places = np.arange(len(counts))
    last = len(counts)
    sums: Floats = total[np.clip(places + end, 0, last)] - total[np.clip(places + begin, 0, last)]
    return sums


def shock_chance(shocks: tuple[int, float], unit: Ints, worse: Flags, minutes: int) -> float:
    """Return how probable it is that one unit, a call or a network, is hit as a whole within some minutes, as usual.

    `unit` and `worse` are those of the people being tested. The shocks among them do not count.
    """
    own = int(np.count_nonzero(np.bincount(unit[worse]) >= SHOCK_PEOPLE))
    return min(0.5, minutes * (1 + max(0, shocks[0] - own)) / (SHOCK_MINUTES + shocks[1]))


def _shocks(units: Ints, user: Ints, minutes: StayMinutes, stay: Ints, begins: Ints) -> tuple[int, float]:
    """Return how many units had a shock, and in how many minutes units of several people were there."""
    size = int(units.max(initial=-1)) + 1
    pairs = np.unique(units << 32 | user)
    is_shared = np.bincount(pairs >> 32, minlength=size) > 1
    first, last = np.full(size, np.inf), np.zeros(size)
    starts = np.flatnonzero(np.diff(minutes.stay, prepend=-1))
    np.minimum.at(first, units[minutes.stay[starts]], minutes.minute[starts])
    np.maximum.at(last, units[minutes.stay[starts]], minutes.minute[np.append(starts[1:], len(minutes.stay)) - 1])
    active = np.where(np.isfinite(first) & is_shared, last - first + 1, 0).sum()
    order = np.lexsort((begins, units[stay]))
    unit, begin = units[stay][order], begins[order]
    later = SHOCK_PEOPLE - 1
    together = (unit[later:] == unit[:-later]) & (begin[later:] - begin[:-later] <= SHOCK_SPAN)
    return len(np.unique(unit[:-later][together])), float(active)
