"""Made stays with ratings whose truth is known: what everyone would have rated, and why some did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.quality.ratings.stays import Stays

__all__ = ["RatedWorld", "predictions", "rated_world"]

FIRST_DAY, DAYS = 20_500, 30
NAMES = ("low_framerate_share", "ln_latency_ms", "cellular")


@dataclass(frozen=True)
class RatedWorld:
    """Stays, and the rating that each person would have given."""

    stays: Stays
    truth: npt.NDArray[np.float64]

    @property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Which stays are of the days that a model is judged on."""
        rated = self.stays.day[~np.isnan(self.stays.rating)]
        return self.stays.day >= np.sort(rated)[int(0.8 * len(rated))]


def rated_world(seed: int, stays: int = 20_000, *, unhappy: float = 2.5, own_rating: float = 0.0) -> RatedWorld:
    """Return a world of 30 days.

    Stars follow from frame rate, latency and network, not in straight lines, with noise, rounded to 1 to 5. `unhappy`
    is how much more often those with low frame rates rate; `own_rating` how much more often those with few stars do,
    which no feature shows. Three clients ask for a rating more and less often.
    """
    draw = np.random.default_rng(seed)
    day = np.sort(draw.integers(FIRST_DAY, FIRST_DAY + DAYS, stays))
    low = np.where(draw.random(stays) < 0.4, 0.0, draw.beta(0.6, 3, stays))
    latency = draw.lognormal(4, 0.6, stays)
    cellular = (draw.random(stays) < 0.3).astype(float)
    client = draw.integers(0, 3, stays)
    mean = 4.7 - 3.5 * low - 0.5 * np.maximum(0, np.log(latency / 60)) - 0.3 * cellular
    truth = np.clip(np.round(mean + draw.normal(0, 0.8, stays)), 1, 5)
    odds = np.array([-2.0, -1.2, -0.5])[client] + unhappy * low + own_rating * (3.5 - truth)
    is_rated = draw.random(stays) < 1 / (1 + np.exp(-odds))
    features = np.stack([np.where(draw.random(stays) < 0.05, np.nan, low), np.log1p(latency), cellular], axis=1)
    return RatedWorld(Stays(day, features, NAMES, np.where(is_rated, truth, np.nan), client), truth)


def predictions(model: dict[str, Any], stays: Stays) -> npt.NDArray[np.float64]:
    """Return the predicted stars, computed apart from the views."""
    score = np.full(len(stays), model["intercept"])
    for column, term in zip(stays.features.T, model["terms"], strict=True):
        score += term["weight"] * (np.where(np.isnan(column), term["center"], column) - term["center"])
    stars: npt.NDArray[np.float64] = np.interp(score, model["scores"], model["stars"])
    return stars
