"""The order of responses in time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.landing.landing import Landing
from pipeline.landing.order import microseconds, rank_by_time
from pipeline.schema import INSTANT
from tests.support import DAY, at
from tests.support.responses import METRICS, land, metrics_response


def test_responses_are_ranked_by_when_they_were_fetched(tmp_path: Path) -> None:
    """Of responses fetched at the same instant, the one that landed later ranks higher."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response(fetched_at=instant) for instant in (at(14), at(12), at(13), at(12))])
    assert rank_by_time(landing.index(METRICS, DAY)).tolist() == [3, 0, 2, 1]


def test_microseconds_since_1970_are_0_for_null() -> None:
    """Instants are whole microseconds in UTC."""
    instants = pa.chunked_array([pa.array([at(0), None], INSTANT)])
    assert microseconds(instants).tolist() == [int(at(0).timestamp()) * 1_000_000, 0]
