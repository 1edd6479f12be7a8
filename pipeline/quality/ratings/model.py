"""Fits the model of ratings: a ridge regression, made monotone to stars, with an interval, judged on later days.

Ratings come from those who rate. Each counts as often as there are stays like it without one (inverse probability of
rating, from a logistic regression on the same features). The interval is a split conformal one with these weights
(Tibshirani and others, "Conformal prediction under covariate shift", 2019). If clients whose users rate seldom have
other ratings than their media explains, the ratings depend on what cannot be seen, and there is no model.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge

from pipeline.quality.ratings.stays import MIN_RATINGS, Floats, Stays

__all__ = ["fit"]

MIN_EFFECTIVE = 100
"""Fewest ratings that the weighted ones must be worth (Kish's effective sample size)."""

LARGEST_WEIGHT = 20.0
"""Most silent stays that one rating can speak for, in relation to the average rating."""

SHARES = (0.6, 0.8)
"""Shares of the ratings after which the days for the interval, and those for judging, begin."""

COVERAGE = 0.9
"""Share of ratings that the interval is made for."""

SIGNIFICANT = 2.5
"""Standard errors beyond which ratings are taken to depend on what cannot be seen."""


def fit(stays: Stays) -> dict[str, Any] | None:
    """Return the model as JSON for the views, or why there is none; None for fewer than `MIN_RATINGS` rated stays."""
    is_rated = ~np.isnan(stays.rating)
    ratings = int(is_rated.sum())
    if ratings < MIN_RATINGS:
        return None
    facts: dict[str, Any] = {
        "ratings": ratings,
        "response_rate": ratings / len(stays),
        "first_day": _iso(stays.day.min()),
        "last_day": _iso(stays.day.max()),
    }
    bounds = _bounds(stays.day[is_rated])
    if bounds is None:
        return facts | {"abstained_because": "the ratings are of too few days to judge a model on later ones"}
    center, scale = _center_and_scale(stays.features[stays.day < bounds[1]])
    x = _standardized(stays.features, center, scale)
    weight = _weights(x, is_rated, stays.day < bounds[1])
    worth = float(weight.sum() ** 2 / (weight**2).sum())
    facts["effective_ratings"] = worth
    if worth < MIN_EFFECTIVE:
        return facts | {
            "abstained_because": f"those who rate differ from those who do not: {ratings} ratings are worth {worth:.0f}"
        }
    x, y, day, client = x[is_rated], stays.rating[is_rated], stays.day[is_rated], stays.client[is_rated]
    train, tune, unseen = day < bounds[0], (day >= bounds[0]) & (day < bounds[1]), day >= bounds[1]
    ridge = Ridge(alpha=10.0).fit(x[train], y[train], sample_weight=weight[train])
    score = ridge.predict(x)
    scores, stars = _knots(score[~unseen], y[~unseen], weight[~unseen])
    predicted = np.interp(score, scores, stars)
    if (errors := _unseen_dependence(stays.client, is_rated, client, y - predicted, weight)) > SIGNIFICANT:
        return facts | {
            "abstained_because": "clients whose users rate less often have other ratings than their media explains "
            f"({errors:.1f} standard errors): who rates depends on what cannot be seen"
        }
    half_width = _quantile(np.abs(y - predicted)[tune], weight[tune], COVERAGE)
    inside = np.abs(y - predicted)[unseen] <= half_width
    facts |= {
        "unseen_days": len(np.unique(day[unseen])),
        "calibration_error": _calibration_error(predicted[unseen], y[unseen], weight[unseen]),
        "interval_coverage": float(np.average(inside, weights=weight[unseen])),
        "intercept": float(ridge.intercept_),
        "half_width": half_width,
        "scores": scores.tolist(),
        "stars": stars.tolist(),
    }
    weights = ridge.coef_ / scale
    facts["terms"] = [
        {"feature": name, "center": float(middle), "weight": float(one)}
        for name, middle, one in zip(stays.names, center, weights, strict=True)
    ]
    facts["drivers"] = _drivers(stays, weights, float(np.average(score, weights=weight)), scores, stars)
    return facts


def _bounds(days: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first day for the interval, and the first for judging; None if one part would be empty."""
    ordered = np.sort(days)
    first, second = (int(ordered[int(share * len(ordered))]) for share in SHARES)
    return (first, second) if ordered[0] < first < second else None


def _center_and_scale(features: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature; 0 and 1 for one that is never known or never varies."""
    known = ~np.isnan(features)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, features, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, features - center, 0) ** 2).sum(axis=0) / count)
    return center, np.where(spread > 1e-9, spread, 1.0)


def _standardized(features: Floats, center: Floats, scale: Floats) -> Floats:
    """Return features with mean 0 and deviation 1; an unknown one counts as average."""
    result: Floats = np.nan_to_num((features - center) / scale, nan=0.0)
    return result


def _weights(x: Floats, is_rated: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Floats:
    """Return for how many stays each rating speaks, 1 on average. Learnt from the stays that are `known`."""
    if is_rated[known].all():
        return np.ones(int(is_rated.sum()))
    responding = LogisticRegression(C=1.0, max_iter=1000).fit(x[known], is_rated[known])
    weight = 1 / responding.predict_proba(x[is_rated])[:, 1]
    weight = np.minimum(weight / weight.mean(), LARGEST_WEIGHT)
    result: Floats = weight / weight.mean()
    return result


def _knots(score: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return increasing scores and the stars that they mean: group means of about equal size, made monotone."""
    groups = int(np.clip(len(score) // 100, 2, 8))
    edges = np.quantile(score, np.linspace(0, 1, groups + 1)[1:-1])
    group = np.searchsorted(edges, score)
    present = np.unique(group)
    scores = np.array([np.average(score[group == one], weights=weight[group == one]) for one in present])
    means = np.array([np.average(y[group == one], weights=weight[group == one]) for one in present])
    total = np.array([weight[group == one].sum() for one in present])
    stars = IsotonicRegression(out_of_bounds="clip").fit_transform(scores, means, sample_weight=total)
    scores, first = np.unique(scores, return_index=True)
    return scores, stars[first]


def _unseen_dependence(
    everyone: npt.NDArray[np.int64],
    is_rated: npt.NDArray[np.bool_],
    client: npt.NDArray[np.int64],
    residual: Floats,
    weight: Floats,
) -> float:
    """Return how far residuals go with the response rate of the client, in standard errors; 0 if that is the same."""
    rates = np.bincount(everyone, is_rated) / np.maximum(np.bincount(everyone), 1)
    rate = rates[client]
    rate = rate - np.average(rate, weights=weight)
    spread = float((weight * rate**2).sum())
    if np.sqrt(spread / weight.sum()) < 0.02:
        return 0.0
    slope = float((weight * rate * residual).sum()) / spread
    left = residual - slope * rate
    error = float(np.sqrt(((weight * rate * left) ** 2).sum())) / spread
    return abs(slope) / error


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    """Return the value that a share of the weight does not exceed, with the weight of one more unknown value."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order]) / (weight.sum() + weight.mean())
    place = min(int(np.searchsorted(reached, share)), len(values) - 1)
    return float(values[order][place])


def _calibration_error(predicted: Floats, y: Floats, weight: Floats) -> float:
    """Return the mean gap between predictions and ratings, over groups of at least 100 ratings with similar ones."""
    groups = int(np.clip(len(y) // 100, 1, 5))
    gaps, total = 0.0, float(weight.sum())
    for part in np.array_split(np.argsort(predicted, kind="stable"), groups):
        share = weight[part].sum() / total
        gaps += share * abs(np.average(predicted[part] - y[part], weights=weight[part]))
    return float(gaps)


def _drivers(stays: Stays, weights: Floats, typical: float, scores: Floats, stars: Floats) -> list[dict[str, Any]]:
    """Return what each feature changes around the typical score, the largest first; none that never varies."""
    drivers = []
    for name, column, weight in zip(stays.names, stays.features.T, weights, strict=True):
        known = column[~np.isnan(column)]
        if len(known) and (low := np.quantile(known, 0.1)) < (high := np.quantile(known, 0.9)):
            half = weight * (high - low) / 2
            ends = np.interp([typical - half, typical + half], scores, stars)
            drivers.append({"feature": name, "stars": float(ends[1] - ends[0]), "low": float(low), "high": float(high)})
    return sorted(drivers, key=lambda driver: -abs(driver["stars"]))


def _iso(day: np.int64) -> str:
    return date.fromordinal(int(day) + date(1970, 1, 1).toordinal()).isoformat()
