"""Which moments and scopes are tested for an incident, and which scope explains it best.

A test is about the people of one scope within a few minutes: how many of them get worse, against what is usual. It
counts onsets, so that bad connections and bad hours do not add up. Every scope is tested at every minute, after a
quick look at the numbers. Of the scopes with enough evidence, the one that explains best which people got worse is the
incident's: one that is too wide has people in it who did not, and one that is too narrow leaves out people who did.
What an incident explains is then taken out, and the rest is weighed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.quality.incidents.episodes import Episodes, StayMinutes
from pipeline.quality.incidents.evidence import NOTHING, Moment, Weight, weigh
from pipeline.quality.incidents.publishers import SCOPES, Publishers
from pipeline.quality.incidents.rates import Rates, personal_chances, scope_rates, shock_chance

__all__ = ["Day", "Found", "search_incidents"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTHS = (2, 5)
"""Minutes within which people get worse: all at once, or one after the other."""

FALSE_ALARMS = 0.01
"""False incidents that a day may have on average, if the model is right: one in a hundred days. One a week would be
allowed; the rest is for worlds that do not follow the model."""

MIN_PEOPLE, MIN_CALLS, MIN_NETWORKS = 5, 2, 3
"""Of how many people, calls and networks an incident must be at least."""

MIN_WITHOUT_BEST = 6.0
"""What must be left of the evidence without any one call and any one network."""

MIN_QUICK = 5.0
"""Evidence from a quick look at which a test is made."""

MAX_TESTS = 2_000
"""Tests that are made at most, those with the most evidence at a quick look first."""

AROUND = 2
"""Minutes before and after an incident in which its people are part of it."""


@dataclass(frozen=True)
class Day:
    """What is known of a day's publishers."""

    minutes: StayMinutes
    episodes: Episodes
    publishers: Publishers


@dataclass(frozen=True)
class Found:
    """An incident. Minutes are counted from 1970 (UTC).

    Attributes:
        scope: one of `SCOPES`.
        value: number of its value.
        begins: its first minute.
        ends: the first minute after it.
        rate: usual onsets per minute of its people.
        evidence: natural logarithm of the likelihood ratio.
    """

    scope: str
    value: int
    begins: int
    ends: int
    rate: float
    evidence: float


@dataclass(frozen=True)
class _Group:
    """The people of one scope: elements of `_Risk` in the order of time, and rates by minute for each of `WIDTHS`."""

    scope: str
    value: int
    places: Ints
    rates: tuple[Floats, ...]


@dataclass(frozen=True)
class _Risk:
    """The minutes at which someone could have got worse, in the order of time.

    Attributes:
        stay: number of the stay.
        minute: minutes since the first of the day's.
        onset: whether the stay got worse then.
        explained: whether an incident explains what happened.
    """

    stay: Ints
    minute: Ints
    onset: Flags
    explained: Flags


@dataclass(frozen=True)
class _Test:
    """A group from a minute on, and what the test says."""

    group: _Group
    minute: int
    width: int
    quick: float
    weight: Weight = NOTHING


def search_incidents(day: Day) -> list[Found]:
    """Return the incidents of a day, those with the most evidence first."""
    episodes, minutes = day.episodes, day.minutes
    if np.count_nonzero(episodes.has_onset) < MIN_PEOPLE:
        return []
    origin = int(minutes.minute.min())
    places = np.flatnonzero(episodes.at_risk)
    places = places[np.argsort(minutes.minute[places], kind="stable")]
    onset = np.zeros(len(minutes.stay), dtype=bool)
    onset[episodes.first_place[episodes.has_onset]] = True
    risk = _Risk(
        minutes.stay[places], minutes.minute[places] - origin, onset[places], np.zeros(len(places), dtype=bool)
    )
    rates = Rates.of(minutes, episodes, day.publishers)
    tests, made = _quick_tests(risk, rates, day.publishers)
    limit = float(np.log(max(made, 1) / FALSE_ALARMS))
    return list(_choose(day, risk, rates, tests, limit, origin))


def _quick_tests(risk: _Risk, rates: Rates, publishers: Publishers) -> tuple[list[_Test], int]:
    """Return the tests that are worth making, and how many there could be."""
    size = int(risk.minute.max()) + 1
    everyone = len(publishers.user)
    tests: list[_Test] = []
    made = 0
    for scope in SCOPES:
        of_stay = publishers.scopes[scope]
        value = of_stay[risk.stay]
        order = np.argsort(value, kind="stable")
        bounds = np.searchsorted(value[order], np.arange(len(publishers.values[scope]) + 1))
        stays = np.bincount(of_stay[of_stay >= 0], minlength=len(bounds) - 1)
        for number, (begin, end) in enumerate(pairwise(bounds.tolist())):
            if stays[number] < MIN_PEOPLE or (scope != SCOPES[0] and stays[number] == everyone):
                continue  # too few people, or the same people as everything
            places = order[begin:end]
            minutes = np.bincount(risk.minute[places], minlength=size).astype(np.float64)
            made += len(WIDTHS) * int(np.count_nonzero(minutes))
            onsets = np.bincount(risk.minute[places], risk.onset[places], minlength=size).astype(np.float64)
            if onsets.sum() >= MIN_PEOPLE:
                tests += _quick_tests_of(_Group(scope, number, places, ()), rates, onsets, minutes)
    tests.sort(key=lambda test: -test.quick)
    return tests[:MAX_TESTS], made


def _quick_tests_of(group: _Group, rates: Rates, onsets: Floats, minutes: Floats) -> Iterator[_Test]:
    """Yield the tests of a group in which more people get worse than usual, as if each were a witness."""
    group = replace(group, rates=tuple(scope_rates(rates, onsets, minutes, width) for width in WIDTHS))
    for width, rate in zip(WIDTHS, group.rates, strict=True):
        window = np.ones(width)
        worse = np.convolve(onsets, window)[width - 1 :]
        expected = np.maximum(np.convolve(minutes, window)[width - 1 :] * rate, 1e-9)
        quick = np.where(worse > expected, worse * np.log(np.maximum(worse, 1) / expected) - worse + expected, 0)
        for minute in np.flatnonzero((worse >= MIN_PEOPLE) & (quick >= MIN_QUICK)).tolist():
            yield _Test(group, minute, width, float(quick[minute]))


def _choose(day: Day, risk: _Risk, rates: Rates, tests: Sequence[_Test], limit: float, origin: int) -> Iterator[Found]:
    """Yield the incident with the most evidence, and so on with what it does not explain."""
    weighed = [_weighed(test, risk, rates, day.publishers) for test in tests]
    while weighed := [test for test in weighed if test.weight.all >= limit]:
        best = max(weighed, key=lambda test: (round(test.weight.fit, 6), -SCOPES.index(test.group.scope)))
        begins, ends = _extent(day, best, origin)
        rate = float(best.group.rates[WIDTHS.index(best.width)][best.minute])
        yield Found(best.group.scope, best.group.value, begins, ends, rate, best.weight.all)
        since, until = min(begins - origin, best.minute) - AROUND, max(ends - origin, best.minute + best.width) + AROUND
        inside = best.group.places
        inside = inside[(risk.minute[inside] >= since) & (risk.minute[inside] < until)]
        risk.explained[inside] = True
        weighed = [
            _weighed(test, risk, rates, day.publishers) if since - test.width <= test.minute < until else test
            for test in weighed
        ]


def _weighed(test: _Test, risk: _Risk, rates: Rates, publishers: Publishers) -> _Test:
    """Return a test with what it says; nothing if there are too few people, calls or networks."""
    nothing = replace(test, weight=NOTHING)
    places = test.group.places
    first, last = np.searchsorted(risk.minute[places], [test.minute, test.minute + test.width])
    places = places[first:last]
    places = places[~risk.explained[places]]
    user, person = np.unique(publishers.user[risk.stay[places]], return_inverse=True)
    own = np.bincount(person, risk.onset[places], minlength=len(user)).astype(np.float64)
    worse = own > 0
    if np.count_nonzero(worse) < MIN_PEOPLE:
        return nothing
    stay = np.empty(len(user), dtype=np.int64)
    stay[person] = risk.stay[places]  # of a person with several stays, the one that got worse
    stay[person[risk.onset[places]]] = risk.stay[places][risk.onset[places]]
    call, network = publishers.call[stay], publishers.network[stay]
    if len(np.unique(call[worse])) < MIN_CALLS or len(np.unique(network[worse])) < MIN_NETWORKS:
        return nothing
    rate = float(test.group.rates[WIDTHS.index(test.width)][test.minute])
    chance = np.clip(personal_chances(rates, rate, user, own, test.width), 1e-9, 1 - 1e-9)
    shocks = (
        shock_chance(rates.call_shocks, call, worse, test.width),
        shock_chance(rates.network_shocks, network, worse, test.width),
    )
    weight = weigh(Moment(worse, chance, call, network), *shocks)
    return replace(test, weight=weight) if weight.without_best >= MIN_WITHOUT_BEST else nothing


def _extent(day: Day, test: _Test, origin: int) -> tuple[int, int]:
    """Return the minutes from which, and until which, an incident lasts: the medians of those who got worse in it."""
    episodes = day.episodes
    begins = episodes.begins - origin
    chosen = (
        episodes.has_onset
        & (day.publishers.scopes[test.group.scope][episodes.stay] == test.group.value)
        & (begins >= test.minute - 1)
        & (begins <= test.minute + test.width)
    )
    begin = int(np.sort(episodes.begins[chosen])[(np.count_nonzero(chosen) - 1) // 2])
    return begin, max(_half_recovered(episodes.ends[chosen], episodes.has_recovery[chosen]), begin + 1)


def _half_recovered(ends: Ints, has_recovery: Flags) -> int:
    """Return the minute by which half of the people have recovered; the last known one if they left before.

    Those who left count until then, as in the estimate of Kaplan and Meier ("Nonparametric estimation from incomplete
    observations", Journal of the American Statistical Association 53, 1958, pages 457-481).
    """
    share = 1.0
    for end in np.unique(ends[has_recovery]).tolist():
        recovered = np.count_nonzero(has_recovery & (ends == end))
        share *= 1 - recovered / (recovered + np.count_nonzero(ends > end))
        if share <= 0.5:
            return int(end)
    return int(ends.max())
