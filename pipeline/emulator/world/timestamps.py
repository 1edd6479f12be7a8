"""Datetimes as integer microseconds and back, and RFC 3339 as the API reads and writes it. Everything is in UTC.

Clocks are in `clocks`, and what is visible at which time is in `visibility`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND_US: Final = 1_000_000
"""Microseconds in a second."""

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
"""Stricter than `datetime.fromisoformat`, which also reads dates without a time and times without a zone."""


def to_micros(value: datetime) -> int:
    """Return the microseconds since 1970-01-01T00:00:00Z. Exact, unlike a float."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value_us: int) -> datetime:
    """Return the datetime, in UTC, that many microseconds after 1970-01-01T00:00:00Z."""
    return EPOCH + timedelta(microseconds=value_us)


def midnight(day: date) -> datetime:
    """Return the first instant of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def parse_rfc3339(text: str) -> datetime | None:
    """Return the datetime in UTC, truncated to microseconds, or None if the text is not RFC 3339."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_rfc3339(value_us: int) -> str:
    """Return microseconds since the epoch as RFC 3339 in UTC, with six decimals and `Z`."""
    return from_micros(value_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
