"""The statistics of a comparison of two releases, a second time and in another way: with numpy, person by person."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

__all__ = ["comparison"]

Stay = tuple[str, str, str, bool]
"""Person, version, stratum, poor."""


def comparison(stays: list[Stay], version: str, baseline: str, *, comparisons: int = 1) -> dict[str, Any]:
    """Return difference, interval, people, baseline_people, strata and covered_share of judged stays."""
    shares: dict[str, dict[str, dict[str, float]]] = {version: defaultdict(dict), baseline: defaultdict(dict)}
    stays_by_cell = defaultdict(list)
    for person, of, stratum, poor in stays:
        stays_by_cell[person, of, stratum].append(poor)
    for (person, of, stratum), poor in stays_by_cell.items():
        if of in shares:
            shares[of][stratum][person] = float(np.mean(poor))
    new, old = shares[version], shares[baseline]
    strata = sorted(stratum for stratum in new if len(new[stratum]) >= 20 and len(old[stratum]) >= 20)
    people = {person for stratum in strata for person in new[stratum]}
    baseline_people = {person for stratum in strata for person in old[stratum]}
    everyone = {person for stratum in new for person in new[stratum]}
    found: dict[str, Any] = {
        "strata": len(strata),
        "people": len(people),
        "baseline_people": len(baseline_people),
        "covered_share": len(people) / len(everyone) if everyone else None,
        "difference": None,
        "difference_low": None,
        "difference_high": None,
    }
    if not strata:
        return found
    sizes = np.array([[len(side[stratum]) for stratum in strata] for side in (new, old)])
    means = np.array([[np.mean([*side[stratum].values()]) for stratum in strata] for side in (new, old)])
    weights = sizes[0] / sizes[0].sum()
    found["difference"] = float(weights @ (means[0] - means[1]))
    pooled = np.array([np.var([*new[stratum].values(), *old[stratum].values()]) for stratum in strata])
    variance = float(np.sum(weights**2 * 0.25 / sizes**2))
    for place, (side, persons) in enumerate(((new, people), (old, baseline_people))):
        moves = [
            sum(
                weights[number] * (side[stratum][person] - means[place][number]) / sizes[place][number]
                for number, stratum in enumerate(strata)
                if person in side[stratum]
            )
            for person in persons
        ]
        clustered = len(persons) / (len(persons) - 1) * float(np.sum(np.square(moves)))
        variance += max(clustered, float(np.sum(weights**2 * pooled / sizes[place])))
    if min(len(people), len(baseline_people)) >= 200:
        t = 0.016 / float(np.sum(weights**2 / sizes))
        # Waudby-Smith et al., theorem 2.2, with the standard error in place of sigma / sqrt(t).
        margin = math.sqrt(variance * 2 * (t + 1) / t * math.log(math.sqrt(t + 1) * comparisons / 0.05))
        found["difference_low"] = max(found["difference"] - margin, -1)
        found["difference_high"] = min(found["difference"] + margin, 1)
    return found
