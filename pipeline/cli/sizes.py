"""What `call-metrics status` prints about sizes and pruned days. The sizes come from `storage.disk_use`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import counted
from pipeline.storage.disk_use import DiskUse, megabytes

__all__ = ["size_columns", "size_lines"]

WIDE = 126
"""Characters of a line from which the table of days has room for two sizes."""


def size_columns(use: DiskUse, width: int) -> Mapping[str, Callable[[date], str]]:
    """Return the columns with sizes for a table `width` characters wide: the text of a day, by name of the column."""
    if width >= WIDE:
        return {"raw": lambda day: megabytes(use.raw_bytes(day)), "tables": lambda day: megabytes(use.table_bytes(day))}
    return {"stored": lambda day: megabytes(use.raw_bytes(day) + use.table_bytes(day))}


def size_lines(use: DiskUse, database: int | None, days: Sequence[DayCompleteness]) -> Iterator[str]:
    """Yield sentences about the bytes of all days and of the database, and about days without raw responses."""
    raw, tables = (sum(sum(its.values()) for its in by_day.values()) for by_day in (use.raw, use.tables))
    stored = f"{megabytes(raw)} of raw responses, {megabytes(tables)} of tables"
    yield f"stored: {stored}" + (f", {megabytes(database)} of database" if database is not None else "")
    without = [day.day for day in days if day.pruned == "raw" and not day.problems]
    if without:
        span = f"{counted(len(without), 'day')} up to {without[-1]}" if len(without) > 1 else f"{without[0]}"
        yield f"raw responses of {span} were pruned; the tables are kept"
