"""Where the rows of a day come from, which of its tables have changed, and its points as the tables of `store`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import pyarrow as pa

from pipeline.quality.track_statistics import compute_track_statistics, series_ids
from pipeline.schema import TABLES
from pipeline.warehouse.pivot import SERIES_KEY, chunk_by_track, pivot_to_samples

__all__ = ["Loaded", "Source", "changed_tables", "point_chunks"]


@dataclass
class Loaded:
    """What a load did: rows by table and day that had changed, whether it published, and the days that it dropped."""

    rows: dict[tuple[str, date], int] = field(default_factory=dict)
    published: bool = False
    dropped: list[date] = field(default_factory=list)


class Source(Protocol):
    """Where the rows of a day come from; `Lake` in production."""

    def fingerprint(self, table: str, day: date) -> str | None: ...
    def read(self, table: str, day: date) -> pa.Table: ...
    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]: ...
    def days(self) -> list[date]: ...


def changed_tables(source: Source, day: date, held: Mapping[str, str], *, rebuild: bool) -> dict[str, str]:
    """Return the tables of a day whose fingerprint is not the one in `held` (all if `rebuild`), with theirs."""
    marks = {name: source.fingerprint(name, day) for name in TABLES}
    return {name: mark for name, mark in marks.items() if mark is not None and (rebuild or held.get(name) != mark)}


def point_chunks(source: Source, day: date) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Yield the points of a day, some whole tracks at a time: how many, and their rows by table of `store`."""
    first, _ = series_ids(day)
    for chunk in chunk_by_track(source.chunks("metric_points", day, dictionaries=[*SERIES_KEY, "metric"])):
        statistics = compute_track_statistics(*pivot_to_samples(chunk, first))
        yield chunk.num_rows, {name: _with_date(rows, day) for name, rows in statistics.by_table.items()}
        first += statistics.series.num_rows


def _with_date(rows: pa.Table, day: date) -> pa.Table:
    if "session_date" in rows.column_names:
        return rows
    return rows.add_column(0, "session_date", pa.repeat(pa.scalar(day), rows.num_rows))
