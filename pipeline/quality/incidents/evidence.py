"""How much speaks for an incident: a likelihood ratio between "something happened here" and "as usual".

As in Kulldorff's scan statistic, a group of people at a time is compared with what is usual there ("A spatial scan
statistic", Communications in Statistics: Theory and Methods 26, 1997, pages 1481-1496). As usual, each person gets
worse with a chance of their own, see `rates`. In an incident, a share of the others does so too. The share is unknown,
so the ratio is the mean over some shares.

People of one call, or on one network, do not count as so many witnesses. As usual, there is a small chance that
something hits a call or a network as a whole, with any share of its people: ten people in one office who get worse
together are as probable as that. The sum over calls and the sum over networks are both made, and the smaller one
counts: each call, and each network, is one witness.

A mean of likelihood ratios has the expectation 1 if everything is as usual. So by Markov's inequality, it exceeds a
limit of L with a probability of at most 1/L, and of N tests on average at most N/L do. That gives the limit for the
wanted number of false alarms, see `search`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "Moment", "Weight", "weigh"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARES = np.array([0.1, 0.2, 0.4, 0.6, 0.9])
"""Shares of the others that get worse in an incident."""


@dataclass(frozen=True)
class Moment:
    """Everyone of a scope who could have got worse within a few minutes, one element per person.

    Attributes:
        worse: whether they did.
        chance: how probable that is as usual, above 0 and below 1.
        call: a number for the call.
        network: a number for the network.
    """

    worse: Flags
    chance: Floats
    call: Ints
    network: Ints


@dataclass(frozen=True)
class Weight:
    """Natural logarithms of likelihood ratios.

    Attributes:
        all: of all calls and networks.
        without_best: without the call, or the network, that speaks most for an incident.
        fit: the mean of `all`, and of what it would be if everyone were a witness. Of several scopes that all show an
            incident, it says which one fits best: by the calls, so that a call that goes wrong by itself in the same
            minute does not widen the scope, and by the people, since most calls have people of several countries.
    """

    all: float
    without_best: float
    fit: float


NOTHING = Weight(-np.inf, -np.inf, -np.inf)
"""What too few people say."""


def weigh(moment: Moment, call_shock: float, network_shock: float) -> Weight:
    """Return what a moment says. The shocks are how probable it is that one hits a call, or a network, as usual."""
    usual = np.where(moment.worse, np.log(moment.chance), np.log1p(-moment.chance))
    chance = SHARES[:, None] + (1 - SHARES[:, None]) * moment.chance
    incident = np.where(moment.worse, np.log(chance), np.log1p(-chance))
    views = [
        _weigh_units(units, moment.worse, usual, incident, shock)
        for units, shock in ((moment.call, call_shock), (moment.network, network_shock))
    ]
    everyone = _log_mean((incident - usual).sum(axis=1))
    evidence = min(all_ for all_, _ in views)
    return Weight(evidence, min(without for _, without in views), (evidence + everyone) / 2)


def _weigh_units(units: Ints, worse: Flags, usual: Floats, incident: Floats, shock: float) -> tuple[float, float]:
    """Return what a moment says if the people of a unit are one witness, and what without the best of the units."""
    _, unit = np.unique(units, return_inverse=True)
    size = int(unit.max(initial=-1)) + 1
    people = np.bincount(unit, minlength=size)
    hit = np.bincount(unit, worse, minlength=size).astype(np.int64)
    logs = _log_factorials(int(people.max(initial=0)) + 1)
    # Any share is equally probable, so that this is a beta function.
    shocked = np.log(shock) + logs[hit] + logs[people - hit] - logs[people + 1]
    calm = np.log1p(-shock)
    as_usual = np.logaddexp(calm + np.bincount(unit, usual, minlength=size), shocked)
    ratios = np.stack(
        [np.logaddexp(calm + np.bincount(unit, row, minlength=size), shocked) - as_usual for row in incident]
    )
    total = ratios.sum(axis=1)
    return _log_mean(total), _log_mean(total - ratios.max(axis=1, initial=0))


def _log_factorials(most: int) -> Floats:
    """Return the logarithms of 0!, 1!, … up to `most`!."""
    return np.array([lgamma(number + 1) for number in range(most + 1)])


def _log_mean(logs: Any) -> float:
    """Return the logarithm of the mean of some numbers, whose logarithms are given."""
    return float(np.logaddexp.reduce(logs) - np.log(len(logs)))
