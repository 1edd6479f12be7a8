"""The days that a backfill without dates runs: the last days, and what older ones lack."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from pipeline.cli.verbosity import say
from pipeline.flow import Flow
from pipeline.planning.due import TRAILING_DAYS
from pipeline.planning.problems import counted
from pipeline.settings import Settings

__all__ = ["due_days", "without_pruned"]


def due_days(settings: Settings) -> list[date]:
    """Return the due days in order: the last three, days that another run may complete, and days that never landed.

    Days before CALL_METRICS_START are not due, nor are those of which the source has forgotten who took part. Raises
    `FixStorage`.
    """
    now = datetime.now(UTC)
    last = {now.date() - timedelta(days=back) for back in range(1, TRAILING_DAYS + 1)}
    with Flow(settings) as flow:
        older = {*flow.incomplete_days(now), *flow.days_never_landed(now)}
    return sorted(day for day in last | older if settings.start <= day < now.date())


def without_pruned(settings: Settings, days: Sequence[date]) -> list[date]:
    """Return the days that were not pruned, and print a sentence about the others. Raises `FixStorage`."""
    with Flow(settings) as flow:
        pruned = set(flow.pruned.days()).intersection(days)
    if len(pruned) == 1:
        say(f"{min(pruned)} was complete and was pruned: it is not fetched again")
    elif pruned:
        span = f"{counted(len(pruned), 'day')} from {min(pruned)} to {max(pruned)}"
        say(f"{span} were complete and were pruned: they are not fetched again")
    return [day for day in days if day not in pruned]
