"""The source's clock: how far it is ahead of ours, from `Date` headers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.extract.clock import SKEW_TOLERANCE, Clock, SourceClock
from tests.support import at

OURS = at(12).timestamp()


def source_clock(*dates: str | None) -> SourceClock:
    """Return the source's clock after responses with these `Date` headers, at noon by our clock."""
    source = SourceClock(Clock(now=lambda: OURS))
    for date in dates:
        source.read({} if date is None else {"Date": date})
    return source


@pytest.mark.parametrize(
    ("dates", "skew"),
    [
        ([], 0),
        (["Sun, 01 Nov 2026 13:00:00 GMT"], 3600),
        (["Sun, 01 Nov 2026 11:00:00 GMT"], -3600),
        (["Sun, 01 Nov 2026 12:00:02 GMT"], 0),
        (["Sun, 01 Nov 2026 12:00:03 GMT"], 3),
        (["Sun, 01 Nov 2026 13:00:00 GMT", "Sun, 01 Nov 2026 13:00:02 GMT"], 3600),
        (["Sun, 01 Nov 2026 13:00:00 GMT", "Sun, 01 Nov 2026 13:00:03 GMT"], 3603),
        (["Sun, 01 Nov 2026 13:00:00 GMT", "Sun, 01 Nov 2026 12:00:00 GMT"], 0),
        (["Sun, 01 Nov 2026 13:00:00 GMT", None, "yesterday", "Sun, 99 Nov 2026 00:00:00 GMT"], 3600),
    ],
)
def test_skew_follows_the_date_header_beyond_two_seconds(dates: list[str | None], skew: int) -> None:
    """Smaller differences are ignored, because the header has whole seconds. So are headers that cannot be read."""
    source = source_clock(*dates)
    assert source.skew == timedelta(seconds=skew)
    assert source.now() == at(12) + timedelta(seconds=skew)
    assert timedelta(seconds=2) == SKEW_TOLERANCE
