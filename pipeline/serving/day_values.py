"""What is known, stored and missing of a day, as values: what `call-metrics status --json` prints and MCP returns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.planning.completeness import DayCompleteness
from pipeline.storage.disk_use import DiskUse

__all__ = ["day_values"]


def day_values(
    day: DayCompleteness, now: datetime, calls: list[dict[str, Any]], use: DiskUse | None = None
) -> dict[str, Any]:
    """Return a day by the names that users see. `calls` are the rows of `ingest_completeness_by_call` to include.

    With `use`, also the bytes of its raw responses by endpoint, and of its tables.
    """
    sizes = {} if use is None else {"raw_bytes": use.raw.get(day.day, {}), "table_bytes": use.tables.get(day.day, {})}
    return {
        "day": day.day.isoformat(),
        "complete": day.is_complete,
        "pruned": day.pruned,
        "calls": day.calls,
        "live_calls": day.live_calls,
        "stays_promised": day.promised,
        "stays_held": day.held,
        "windows": day.windows,
        "windows_due": day.due,
        "days_left": day.days_left(now),
        "forgotten_on": day.first_expiry,
        "problems": [str(problem) for problem in day.problems],
        **sizes,
        "call_sessions": [{name: value for name, value in call.items() if name != "session_date"} for call in calls],
    }
