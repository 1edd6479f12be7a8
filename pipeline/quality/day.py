"""The quality of one day in a few numbers: a first look, before anyone opens the database.

Publishers come from the view `track_quality`, frame rates by hour from `store.samples`. How Dagster shows them is in
`orchestration.day_quality`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from pipeline.quality.track_statistics import series_ids
from pipeline.sql import adapted, read_statement

__all__ = ["LOW_SCORE", "DayQuality", "day_quality", "poor_calls"]

LOW_SCORE = 60
"""The source's score of a call (0 to 100) under which its participant details are fetched. The source does not document
how it scores. On the scale of ITU-T G.109, which also ends at 100, nearly all users are dissatisfied under 60."""


@dataclass(frozen=True)
class DayQuality:
    """The calls of a day in numbers. A publisher counts once per call.

    Attributes:
        calls: rows of `day_publishers.sql`, the call with the most poor publishers first.
        framerate_by_hour: the 5th percentile of the frame rate over the time of all cameras, in frames per second, by
            hours since the start of the day (UTC).
    """

    calls: Sequence[dict[str, Any]]
    framerate_by_hour: dict[int, int]

    @property
    def publishers(self) -> int:
        """Users who published a track."""
        return sum(call["publishers"] for call in self.calls)

    @property
    def good(self) -> int:
        """Publishers with a good track and no poor one."""
        return sum(call["good"] for call in self.calls)

    @property
    def poor(self) -> int:
        """Publishers with a poor track."""
        return sum(call["poor"] for call in self.calls)

    @property
    def unclassified(self) -> int:
        """All other publishers."""
        return self.publishers - self.good - self.poor


def day_quality(database: duckdb.DuckDBPyConnection, day: date) -> DayQuality:
    """Return the quality of a day, from a database that has it loaded."""
    first, last = series_ids(day)
    calls = (
        database.execute(read_statement("pipeline.quality", "day_publishers"), {"day": day})
        .to_arrow_table()
        .to_pylist()
    )
    span = {"day": day, "first": first, "last": last}
    hours = database.execute(adapted(database, read_statement("pipeline.quality", "day_framerate")), span).fetchall()
    return DayQuality(calls, dict(hours))


def poor_calls(database: duckdb.DuckDBPyConnection, day: date) -> list[tuple[str, str, str]]:
    """Return the ids of the call sessions of a day with a poor publisher or a score under `LOW_SCORE`, sorted."""
    wanted = {"day": day, "low_score": LOW_SCORE}
    return database.execute(adapted(database, read_statement("pipeline.quality", "poor_calls")), wanted).fetchall()
