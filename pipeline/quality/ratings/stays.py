"""The stays that a model of ratings is made from. Apart from `model`, whose library takes a second to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_RATINGS", "Floats", "Stays"]

MIN_RATINGS = 200
"""Fewest rated stays for a model."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stays:
    """Judged stays, one row each.

    Attributes:
        day: date of each, as days since 1970.
        features: one column per feature, NaN for unknown.
        names: names of the features.
        rating: mean rating, NaN without one.
        client: client of each, as a number from 0.
    """

    day: npt.NDArray[np.int64]
    features: Floats
    names: Sequence[str]
    rating: Floats
    client: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.day)
