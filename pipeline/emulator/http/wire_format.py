"""What Stream's documentation leaves open about responses, as options: units, forms of datetimes, forms of headers.

The JSON itself is built in `list_documents` and `metrics_document`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ..world.timestamps import SECOND_US, format_rfc3339, to_micros

TICKS_PER_SECOND: Final[Mapping[str, int]] = {"s": 1, "float_s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""The units that the times of data points can have. `float_s` is whole seconds written as a float."""

DATETIME_FORMS: Final = ("ns", "rfc3339")
RETRY_AFTER_FORMS: Final = ("seconds", "http_date", "absent")


def require_one_of(option: str, value: str, allowed: Collection[str]) -> None:
    """Raise `ValueError` unless the value of an option is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{option} must be one of {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How responses are written.

    Attributes:
        unit: of the times in `data_points`: `s`, `float_s`, `ms`, `us` or `ns`.
        datetimes: `ns` for Unix nanoseconds as integers, `rfc3339` for strings.
        until_inclusive: whether a point exactly at `until` belongs to the window.
        stray_nanoseconds: nanoseconds (0 to 999) added to every integer datetime, to detect clients that read them as
            floats.
        retry_after: form of `Retry-After` in a 429: `seconds`, `http_date` or `absent`.
        joined_headers: whether rate-limit headers are comma-joined lists with an empty first item.

    Raises:
        ValueError: an option has a value that does not exist.
    """

    unit: str = "s"
    datetimes: str = "ns"
    until_inclusive: bool = True
    stray_nanoseconds: int = 0
    retry_after: str = "seconds"
    joined_headers: bool = False

    def __post_init__(self) -> None:
        require_one_of("unit", self.unit, TICKS_PER_SECOND)
        require_one_of("datetimes", self.datetimes, DATETIME_FORMS)
        require_one_of("retry_after", self.retry_after, RETRY_AFTER_FORMS)
        if not 0 <= self.stray_nanoseconds < 1000:
            raise ValueError("stray_nanoseconds must be between 0 and 999")

    @property
    def ticks_per_second(self) -> int:
        """The number of ticks of `unit` in a second."""
        return TICKS_PER_SECOND[self.unit]

    @property
    def tick_us(self) -> int:
        """The microseconds to which `unit` truncates the times of points."""
        return max(1, SECOND_US // self.ticks_per_second)

    def format_datetime(self, value: datetime | int | None) -> int | str | None:
        """Return a datetime, or microseconds since the epoch, as it is written in JSON. None stays None."""
        if value is None:
            return None
        value_us = to_micros(value) if isinstance(value, datetime) else value
        return format_rfc3339(value_us) if self.datetimes == "rfc3339" else value_us * 1000 + self.stray_nanoseconds


DEFAULT_FORMAT: Final = WireFormat()
