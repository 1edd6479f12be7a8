"""The model of ratings, in made worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from pipeline.quality.ratings.model import fit
from pipeline.quality.ratings.stays import MIN_RATINGS, Stays
from tests.support.rated_worlds import RatedWorld, predictions, rated_world


@cache
def model_of(seed: int) -> tuple[RatedWorld, dict[str, Any]]:
    """Return a world in which who rates follows from what is seen, and its model."""
    world = rated_world(seed)
    model = fit(world.stays)
    assert model is not None
    return world, model


def with_ratings(stays: Stays, rated: np.ndarray[Any, Any]) -> Stays:
    """Return the stays with only these of their ratings."""
    return replace(stays, rating=np.where(rated, stays.rating, np.nan))


@pytest.mark.parametrize("seed", [0, 2])
def test_predictions_are_calibrated_for_everyone_on_later_days(seed: int) -> None:
    """Within 0.15 of a star of what all would have rated, where the plain mean of the ratings is further off."""
    world, model = model_of(seed)
    predicted, truth = predictions(model, world.stays)[world.unseen], world.truth[world.unseen]
    gaps = [abs(np.mean((predicted - truth)[part])) for part in np.array_split(np.argsort(predicted), 5)]
    assert np.mean(gaps) < 0.15
    assert abs(np.mean(predicted - truth)) < abs(np.nanmean(world.stays.rating[world.unseen]) - truth.mean())


@pytest.mark.parametrize("seed", [0, 2])
def test_interval_has_nine_in_ten_ratings_of_later_days(seed: int) -> None:
    """Also of the ratings that were never given; what the model says of itself is about the same."""
    world, model = model_of(seed)
    error = np.abs(predictions(model, world.stays) - world.truth)[world.unseen]
    assert 0.87 <= np.mean(error <= model["half_width"]) <= 0.93
    assert 0.86 <= model["interval_coverage"] <= 0.94
    assert model["calibration_error"] < 0.15


def test_drivers_have_the_direction_of_the_truth() -> None:
    """Low frame rates and latency cost stars, the former most."""
    _, model = model_of(0)
    drivers = {driver["feature"]: driver["stars"] for driver in model["drivers"]}
    assert next(iter(drivers)) == "low_framerate_share"
    assert all(stars < 0 for stars in drivers.values())


def test_prediction_never_falls_with_the_score() -> None:
    """The line from score to stars only rises."""
    _, model = model_of(0)
    assert np.all(np.diff(model["scores"]) > 0)
    assert np.all(np.diff(model["stars"]) >= 0)


def test_model_does_not_depend_on_chance() -> None:
    """The same stays give the same model."""
    world, model = model_of(0)
    assert fit(world.stays) == model


def test_too_few_ratings_give_no_model() -> None:
    """One fewer than needed is none; as many as needed are one, or a sentence."""
    stays = rated_world(1, 6_000).stays
    rated = np.flatnonzero(~np.isnan(stays.rating))
    few = np.isin(np.arange(len(stays)), rated[:: len(rated) // MIN_RATINGS][: MIN_RATINGS - 1])
    assert fit(with_ratings(stays, few)) is None
    enough = np.isin(np.arange(len(stays)), rated[:: len(rated) // MIN_RATINGS][:MIN_RATINGS])
    assert fit(with_ratings(stays, enough)) is not None


def test_ratings_of_one_day_cannot_be_judged() -> None:
    """There is no later day."""
    stays = rated_world(1, 6_000).stays
    model = fit(replace(stays, day=np.full(len(stays), 20_500)))
    assert model is not None
    assert "too few days" in model["abstained_because"]
    assert "terms" not in model


def test_ratings_of_few_kinds_of_stay_are_not_enough() -> None:
    """If nearly all ratings are of bad stays, the few of others would have to speak for everyone."""
    world = rated_world(3, 6_000)
    low = np.nan_to_num(world.stays.features[:, 0])
    rated = (low > 0.3) | (np.arange(len(low)) % 1_000 == 0)
    model = fit(replace(world.stays, rating=np.where(rated, world.truth, np.nan)))
    assert model is not None
    assert "those who rate differ from those who do not" in model["abstained_because"]
    assert model["effective_ratings"] < 100 < MIN_RATINGS < model["ratings"]


def test_ratings_that_depend_on_what_cannot_be_seen_give_no_model() -> None:
    """Unhappy people rate more often than their media explains: clients that ask less have lower ratings."""
    model = fit(rated_world(0, own_rating=0.9).stays)
    assert model is not None
    assert "depends on what cannot be seen" in model["abstained_because"]


def test_ratings_of_everyone_need_no_correction() -> None:
    """Each counts once."""
    world = rated_world(5, 3_000)
    model = fit(replace(world.stays, rating=world.truth))
    assert model is not None
    assert model["effective_ratings"] == pytest.approx(3_000)
    assert model["response_rate"] == 1
