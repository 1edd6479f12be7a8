"""`call-metrics diff A B`: what differs between two data folders or databases, for whoever upgrades or migrates.

How they are compared is in `serving.differences`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.catalog import LAKE_PREFIX, LakeCatalog
from pipeline.cli.outcome import ExitCode
from pipeline.errors import FixSettings
from pipeline.planning.problems import counted
from pipeline.serving.differences import DayDifference, Side, TableDifference, compare
from pipeline.settings import Settings

__all__ = ["print_differences"]

MAX_DAYS = 5
"""Days of a table that are printed as text."""


def print_differences(one: str, other: str, ignored: Sequence[str], *, as_json: bool) -> ExitCode:
    """Print what differs. Returns `INCOMPLETE` if something does.

    Raises `FixSettings` for a name that is neither, and `FixStorage` for one that cannot be read.
    """
    with Side(_named(one)) as first, Side(_named(other)) as second:
        differences = list(compare(first, second, ignored))
    if not differences:
        raise FixSettings(f"neither {one} nor {other} has a table of Call Metrics; name data folders or databases")
    different = [difference for difference in differences if not difference.is_equal]
    if as_json:
        print(json.dumps([_values(difference) for difference in different], indent=2, default=str))
    else:
        print(f"A is {one}\nB is {other}")
        for line in _lines(differences):
            print(line)
    return ExitCode.INCOMPLETE if different else ExitCode.COMPLETE


def _named(text: str) -> Path | LakeCatalog:
    """Return what an argument names. A DuckLake has its files where the settings say."""
    if text.startswith(LAKE_PREFIX):
        settings = Settings.load()
        where = settings.root_location if settings.remote else settings.root
        return LakeCatalog.parse(text, where, app=settings.app)
    path = Path(text).expanduser()
    if not path.exists():
        raise FixSettings(f"{text} does not exist; name a data folder, a database, or ducklake: and its catalog")
    return path


def _lines(differences: Sequence[TableDifference]) -> Iterator[str]:
    for difference in differences:
        if difference.is_equal:
            continue
        for side, is_missing in zip("AB", difference.missing_in, strict=True):
            if is_missing:
                yield f"{difference.table}: not in {side}"
        for sentence in difference.columns:
            yield f"{difference.table}: {sentence}"
        for day in difference.days[:MAX_DAYS]:
            yield f"{difference.table} {day.day}: {_counts(day)}"
        if (more := len(difference.days) - MAX_DAYS) > 0:
            yield f"{difference.table}: {counted(more, 'more day')} differ{'s' * (more == 1)}; --json lists all"
    equal = [difference.table for difference in differences if difference.is_equal]
    if len(equal) == len(differences):
        days = max(difference.days_compared for difference in differences)
        yield f"the same: {counted(len(equal), 'table')}, {counted(days, 'day')}"
    elif equal:
        yield f"the same: {', '.join(equal)}"


def _counts(day: DayDifference) -> str:
    return f"{day.rows[0]} rows in A, {day.rows[1]} in B; {day.only[0]} only in A, {day.only[1]} only in B"


def _values(difference: TableDifference) -> dict[str, object]:
    values = dataclasses.asdict(difference)
    del values["days_compared"]
    return values
