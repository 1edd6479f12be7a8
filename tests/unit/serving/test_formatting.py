"""How values read in the report and the dashboard."""

from __future__ import annotations

import pytest

from pipeline.serving import formatting
from tests.support.small_world import seconds


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formatting.duration(None), "–"),
        (formatting.duration(0.25), "0.2 s"),
        (formatting.duration(59.96), "1 min 00 s"),
        (formatting.duration(3725), "1 h 02 min"),
        (formatting.bits(0), "0"),
        (formatting.bits(950), "950"),
        (formatting.bits(32_000), "32.0 k"),
        (formatting.bits(1_234_567), "1.23 M"),
        (formatting.bits(250_000), "250 k"),
        (formatting.percent(0.0001), "< 0.1 %"),
        (formatting.percent(0.9999), "> 99.9 %"),
        (formatting.percent(0.123), "12.3 %"),
        (formatting.percent(0), "0 %"),
        (formatting.percent(None), "–"),
        (formatting.percent(formatting.share(0, 3)), "0 %"),
        (formatting.percent(formatting.share(1, 3)), "33.3 %"),
        (formatting.percent(formatting.share(1999, 2000)), "> 99.9 %"),
        (formatting.percent(formatting.share(3, 3)), "100 %"),
        (formatting.percent(formatting.share(0, 0)), "–"),
        (formatting.number(29.97), "30.0"),
        (formatting.clock(seconds(5), seconds(0)), "00:00:05"),
        (formatting.clock(seconds(90_000), seconds(0)), "2026-11-02 01:00:00"),
    ],
)
def test_values_read_well(shown: str, expected: str) -> None:
    """Two units at most, three digits, and no share that is rounded to all or nothing."""
    assert shown == expected
