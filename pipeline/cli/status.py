"""What is known, landed and missing of each day: as a table, as JSON, as lines, and as an exit code.

What counts as missing is decided in `planning.completeness`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from rich.table import Table

from pipeline.cli import console
from pipeline.cli.dates import days_to_show, none_between
from pipeline.cli.outcome import ExitCode
from pipeline.cli.sizes import size_columns, size_lines
from pipeline.flow import Flow
from pipeline.model import RETENTION
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import counted
from pipeline.schema import WINDOW_STATES
from pipeline.serving.day_values import day_values
from pipeline.settings import Settings
from pipeline.storage.disk_use import database_bytes, disk_use

__all__ = [
    "days_before_the_first",
    "days_table",
    "exit_code",
    "next_to_expire",
    "print_missing",
    "print_status",
    "problem_lines",
]


def print_status(settings: Settings, since: str | None, until: str | None, *, as_json: bool) -> ExitCode:
    """Print the status of each day from `since` to `until`, including days of which nothing has landed."""
    with Flow(settings) as flow:
        landed = flow.known_days()
        days = [flow.known_completeness(day) for day in days_to_show(landed, since, until)]
        calls = {day.day: flow.certificates(day.day) for day in days} if as_json else {}
        use = disk_use(flow.store)
        database = None if as_json else database_bytes(settings)
    now = datetime.now(UTC)
    if as_json:
        print(json.dumps([day_values(day, now, calls[day.day], use) for day in days], indent=2, default=str))
    elif not days and landed:
        print(none_between(landed, since, until))
    elif not days:
        print(
            f"nothing has landed under {settings.location} yet; start with `call-metrics backfill` or "
            "`call-metrics demo`"
        )
    else:
        terminal = console.stdout()
        terminal.print(days_table(days, now, size_columns(use, terminal.width)))
        for line in (
            *size_lines(use, database, days),
            *next_to_expire(days, now),
            *days_before_the_first(landed, settings.start, now),
        ):
            print(line)
        print_missing(days)
    return exit_code(days)


def days_table(
    days: Sequence[DayCompleteness],
    now: datetime | None = None,
    sizes: Mapping[str, Callable[[date], str]] | None = None,
) -> Table:
    """Return a row per day: what is known, landed and missing, and the days left until the source drops it.

    `sizes` are further columns, see `size_columns`.
    """
    now = now or datetime.now(UTC)
    sizes = sizes or {}
    table = Table(box=None, pad_edge=False)
    for name in ("day", "calls", "live", "stays", *WINDOW_STATES, "due", "days left", *sizes, ""):
        table.add_column(name, justify="left" if name in ("day", "") else "right", no_wrap=True)
    for day in days:
        table.add_row(
            f"{day.day}",
            f"{day.calls}",
            f"{day.live_calls}",
            f"{day.held}" if day.held >= day.promised else f"{day.held} of {day.promised}",
            *(f"{day.windows.get(state, 0)}" for state in WINDOW_STATES),
            f"{day.due}",
            f"{day.days_left(now)}",
            *(size(day.day) for size in sizes.values()),
            "pruned" if day.pruned == "all" else day.verdict,
        )
    return table


def next_to_expire(days: Sequence[DayCompleteness], now: datetime, most: int = 3) -> Iterator[str]:
    """Yield sentences about the days that expire next at the source, with what is missing of them."""
    listed = [day for day in days if day.expires_at + timedelta(days=1) > now and not day.pruned]
    for day in sorted(listed, key=lambda day: (day.expires_at, day.day))[:most]:
        missing = "; ".join(map(str, day.problems[:3])) or "nothing is missing"
        yield f"{day.day} expires at the source in {counted(day.days_left(now), 'day')}: {missing}"


def days_before_the_first(landed: Sequence[date], start: date, now: datetime) -> Iterator[str]:
    """Yield a sentence about the days from `start` to the first one stored that the source still lists, if any."""
    first = max(start, now.date() - RETENTION)
    if landed and first < landed[0]:
        last = landed[0] - timedelta(days=1)
        yield f"{first} to {last} were never fetched, and the source still lists them; {first} expires next"


def problem_lines(days: Sequence[DayCompleteness], most: int = 20) -> Iterator[str]:
    """Yield sentences about what is missing, by day."""
    lines = [f"{day.day}: {problem}" for day in days for problem in day.problems]
    yield from lines[:most]
    if len(lines) > most:
        yield f"and {len(lines) - most} more; `call-metrics status --json` lists them all"


def print_missing(days: Sequence[DayCompleteness]) -> None:
    """Print a line for each problem."""
    for line in problem_lines(days):
        print(f"missing: {line}")


def exit_code(days: Sequence[DayCompleteness]) -> ExitCode:
    """Return `INCOMPLETE` if a day has a problem."""
    return ExitCode.INCOMPLETE if any(day.problems for day in days) else ExitCode.COMPLETE
