"""How much a moment says for an incident."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.quality.incidents.evidence import Moment, Weight, weigh


def moment(worse: int, people: int, *, calls: int | None = None, networks: int | None = None) -> Weight:
    """Weigh people who each get worse with a chance of 1 %, spread over calls and networks."""
    number = np.arange(people)
    # those who got worse are next to each other, and so in the same calls
    return weigh(
        Moment(
            number < worse,
            np.full(people, 0.01),
            number // -(-people // (calls or people)),
            number // -(-people // (networks or people)),
        ),
        1e-3,
        1e-3,
    )


def test_more_people_say_more() -> None:
    """None says that there is no incident; every further one says more for it."""
    weights = [moment(worse, 40).all for worse in range(0, 41, 5)]
    assert weights[0] < 0
    assert weights == sorted(weights)
    assert moment(15, 40).all > 30 > moment(15, 400).all


def test_people_of_one_call_or_one_network_are_one_witness() -> None:
    """Ten of forty say less in one call than in ten, and no more than what a shock explains."""
    alone, call, network = moment(10, 40).all, moment(10, 40, calls=4).all, moment(10, 40, networks=4).all
    assert alone > 15
    assert call == network
    assert call < np.log(1 / 1e-3) + 3
    assert moment(10, 40, calls=4).without_best < 0


def test_many_calls_say_more_than_one() -> None:
    """With the most telling call left out, others still speak for an incident."""
    weight = moment(20, 20, calls=5)
    assert weight.all > weight.without_best > 15


def test_evidence_is_as_rare_as_promised_if_everything_is_as_usual() -> None:
    """A likelihood ratio has a mean of 1, so that a limit of L is exceeded with a probability of at most 1/L."""
    random = np.random.default_rng(0)
    call, chance = np.arange(60) // 3, random.uniform(0.002, 0.05, 60)
    ratios = []
    for _ in range(3000):
        shocked = (random.random(20) < 0.01)[call] & (random.random(20)[call] > random.random(60))
        worse = (random.random(60) < chance) | shocked
        ratios.append(np.exp(weigh(Moment(worse, chance, call, np.arange(60)), 0.01, 0.01).all))
    assert np.mean(ratios) < 1.2
    for limit in (10, 100):
        assert np.mean(np.array(ratios) > limit) <= 1 / limit


def test_fit_is_between_calls_and_people() -> None:
    """It is the evidence itself if everyone is alone in a call."""
    assert moment(15, 40).fit == pytest.approx(moment(15, 40).all, rel=0.02)
    assert moment(10, 40, calls=4).fit > moment(10, 40, calls=4).all
