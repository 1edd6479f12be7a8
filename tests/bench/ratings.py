"""How close predicted ratings are to what everyone would have given, in made worlds, on days the model has not seen.

    python -m tests.bench.ratings

How many of 20 worlds have no model; the median of the mean gap, and the largest gap of all, between predicted and true
stars over fifths of the stays by prediction; the share of all true ratings that is in the interval, its mean and its
range; and how far the plain mean of the ratings is off.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.quality.ratings.model import fit
from tests.support.rated_worlds import predictions, rated_world

WORLDS = 20
STAYS = (6_000, 20_000, 60_000)


def main() -> None:
    """Print a line per size and kind of world: medians and worst cases of 20 worlds."""
    print(f"{'stays':>7} {'who rates':<28} {'no model':>8} {'gap':>6} {'worst':>6} {'coverage':>17} {'plain mean':>10}")
    for stays in STAYS:
        for label, own_rating in (("by what is seen", 0.0), ("by their own stars as well", 0.7)):
            figures = np.array([*_figures(stays, own_rating)]).reshape(-1, 4)
            abstained = WORLDS - len(figures)
            if not len(figures):
                print(f"{stays:>7,} {label:<28} {abstained:>5}/{WORLDS}")
                continue
            gap, worst, coverage, plain = figures.T
            spread = f"{coverage.min():.3f} to {coverage.max():.3f}"
            print(
                f"{stays:>7,} {label:<28} {abstained:>5}/{WORLDS} {np.median(gap):>6.3f} {worst.max():>6.3f} "
                f"{np.mean(coverage):.3f} {spread} {np.median(plain):>6.2f}"
            )


def _figures(stays: int, own_rating: float) -> Iterator[tuple[float, float, float, float]]:
    for seed in range(WORLDS):
        world = rated_world(seed, stays, own_rating=own_rating)
        model = fit(world.stays)
        if model is None or "abstained_because" in model:
            continue
        later = world.unseen
        predicted, truth = predictions(model, world.stays)[later], world.truth[later]
        parts = np.array_split(np.argsort(predicted), 5)
        gaps = [abs(float(np.mean(predicted[part] - truth[part]))) for part in parts]
        inside = np.abs(predicted - truth) <= model["half_width"]
        plain = abs(float(np.nanmean(world.stays.rating[later]) - truth.mean()))
        yield float(np.mean(gaps)), max(gaps), float(inside.mean()), plain


if __name__ == "__main__":
    main()
