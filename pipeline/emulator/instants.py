"""Instants: datetimes to integer microseconds and back, and RFC 3339 as the API reads and writes it.

Here: the conversions that the rest of the emulator needs, all in UTC. Not here: clocks (they are passed in) and what is
visible when (``visibility``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def micros(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z; exact, where a float would not be."""
    return (instant - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """The UTC instant that many microseconds after 1970-01-01T00:00:00Z."""
    return EPOCH + timedelta(microseconds=value)


def parse_rfc3339(text: str) -> datetime | None:
    """An instant with a zone, cut to microseconds; None where the text is not RFC 3339."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rfc3339(value_us: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC, with six decimals and ``Z``."""
    return from_micros(value_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
