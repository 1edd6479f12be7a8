"""The days that a backfill without dates runs: the last days, and what older ones lack."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pipeline.flow import Flow
from pipeline.planning.due import TRAILING_DAYS
from pipeline.settings import Settings

__all__ = ["due_days"]


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
