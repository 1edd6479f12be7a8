"""Dialect: how the API may write what its documentation leaves open.

Here: units, the form of datetimes, the bounds of windows. Not here: what is written (``answers``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .instants import rfc3339

UNITS: Final[Mapping[str, int]] = {"s": 1, "float_s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units a data point's time can have, and how many of them make a second. ``float_s`` is seconds as a float."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the answers are written, where the documentation leaves it open.

    Attributes:
        unit: of the times in ``data_points``: ``s``, ``float_s``, ``ms``, ``us`` or ``ns``.
        datetimes: ``ns`` for Unix nanoseconds as integers, ``rfc3339`` for strings.
        until_inclusive: whether a point exactly at ``until`` belongs to the window.
        stray_nanoseconds: nanoseconds (0 to 999) added to every datetime, to tell who reads them as floats.
    """

    unit: str = "s"
    datetimes: str = "ns"
    until_inclusive: bool = True
    stray_nanoseconds: int = 0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {self.unit!r}")
        if self.datetimes not in ("ns", "rfc3339"):
            raise ValueError(f"datetimes must be ns or rfc3339, not {self.datetimes!r}")
        if not 0 <= self.stray_nanoseconds < 1000:
            raise ValueError("stray_nanoseconds must be between 0 and 999")

    def instant(self, value_us: int) -> int | str:
        """A datetime as the answers write it."""
        return rfc3339(value_us) if self.datetimes == "rfc3339" else value_us * 1000 + self.stray_nanoseconds
