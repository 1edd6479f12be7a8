"""`call-metrics backfill --dry-run`: how many requests a backfill takes, and how long by the quotas.

What is due is in the view `ledger_calls`. This adds its days up, and prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.cli import console
from pipeline.cli.due import due_days, without_pruned
from pipeline.cli.outcome import ExitCode
from pipeline.endpoints import ENDPOINT_NAMES
from pipeline.errors import FixSettings
from pipeline.planning.problems import counted
from pipeline.settings import Settings
from pipeline.sql import adapted
from pipeline.warehouse.published import open_published, read_errors

__all__ = ["print_estimate"]

QUERY = """
SELECT
    session_date,
    any_value(ledger.call_list_requests) AS call_stats,
    sum(calls.listing_requests)::BIGINT AS participant_sessions,
    sum(calls.statistics_requests)::BIGINT AS participant_stats,
    sum(calls.metrics_requests)::BIGINT AS participant_metrics,
    any_value(ledger.feedback_requests) AS user_feedback,
    any_value(ledger.details_requests) AS participant_details,
    any_value(ledger.timeline_requests) AS participant_timeline,
    any_value(ledger.requests) AS requests,
    any_value(ledger.is_estimate) AS is_estimate
FROM ledger
INNER JOIN ledger_calls AS calls USING (session_date)
GROUP BY session_date
ORDER BY session_date
"""

QUOTAS = "SELECT name[7:], try_cast(value AS DOUBLE) FROM store.meta WHERE name LIKE 'quota %'"
"""Requests per minute by endpoint, as the latest run saw them. Their names start with `quota `."""

UNLIMITED = "call_stats"
"""An endpoint of which a day takes so few requests that its quota does not count."""


def print_estimate(settings: Settings, days: Sequence[date] | None) -> ExitCode:
    """Print what a backfill of these days (None: the due ones) requests; nothing is sent.

    Raises `FixStorage`, and `FixSettings` if nothing was ever fetched.
    """
    if isinstance(settings.warehouse, Path) and not settings.warehouse.exists():
        raise FixSettings(
            "nothing was ever fetched, so that it is not known how many requests a day takes; run a backfill of one "
            "day, such as `call-metrics backfill --last 1d`, and ask again"
        )
    wanted = frozenset(due_days(settings) if days is None else without_pruned(settings, days))
    with read_errors(settings.warehouse), open_published(settings.warehouse) as database:
        rows = database.execute(QUERY).to_arrow_table().to_pylist()
        quotas = dict(database.execute(adapted(database, QUOTAS)).fetchall())
    rows = [row for row in rows if row["session_date"] in wanted]
    if rows:
        console.stdout().print(_table(rows))
    total = sum(row["requests"] for row in rows)
    if not rows:
        print("nothing is due but lists of calls: a request or two a day")
    elif (minutes := _minutes(rows, quotas)) is None:
        print(f"about {counted(total, 'request')}; no quota is known yet, so the time is not either")
    else:
        print(f"about {counted(total, 'request')}, {_duration(minutes)} at the quotas that the latest run saw")
    if datetime.now(UTC).date() in wanted:
        print("calls that are live now are not counted")
    return ExitCode.COMPLETE


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("day", "requests", ""):
        table.add_column(name, justify="right" if name == "requests" else "left", no_wrap=True)
    for row in rows:
        note = "estimate: never listed" if row["is_estimate"] else ""
        table.add_row(f"{row['session_date']}", f"{row['requests']}", note)
    return table


def _minutes(rows: Sequence[Mapping[str, Any]], quotas: Mapping[str, float | None]) -> float | None:
    """Return the minutes that the quotas make a backfill last; None if one of them is not known.

    Each endpoint has a quota of its own, and they are asked one after the other.
    """
    minutes = 0.0
    for endpoint in (name for name in ENDPOINT_NAMES if name != UNLIMITED):
        requests = sum(row[endpoint] for row in rows)
        if requests and not quotas.get(endpoint):
            return None
        minutes += requests / (quotas.get(endpoint) or 1)
    return minutes


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"about {counted(math.ceil(minutes), 'minute')}"
    return f"about {counted(math.ceil(minutes / 60), 'hour')}"
