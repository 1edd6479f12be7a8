"""What is known, stored and missing of days: what `call-metrics status --json` prints, with limits on its size."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pipeline.errors import FixSettings
from pipeline.flow import Flow
from pipeline.serving.day_values import day_values
from pipeline.serving.mcp.results import Days, DayStatus, json_row
from pipeline.settings import Settings, parse_date

__all__ = ["day_status"]

MAX_DAYS = 31
"""Days in one answer. Judging a day reads all its listings."""

MAX_CALLS = 200
"""Call sessions of a day in an answer; incomplete ones come first."""


def day_status(settings: Settings, first: str, last: str | None, with_calls: bool) -> Days:
    """Return the status of the days from `first` to `last` (UTC, both included; by default only the first).

    Raises `FixSettings` if these are not dates in order, in the past or today, and at most `MAX_DAYS`; `FixStorage` if
    the data cannot be read.
    """
    days = _days(first, last)
    now = datetime.now(UTC)
    found = []
    with Flow(settings) as flow:
        for day in days:
            calls = flow.certificates(day) if with_calls else []
            values = day_values(flow.known_completeness(day), now, calls)
            shown = sorted(values["call_sessions"], key=lambda call: bool(call["is_complete"]))[:MAX_CALLS]
            values["call_sessions"] = [json_row(call) for call in shown]
            found.append(DayStatus(**values, call_sessions_left_out=len(calls) - len(shown)))
    return Days(days=found)


def _days(first: str, last: str | None) -> list[date]:
    since = parse_date("first_day", first)
    until = parse_date("last_day", last) if last else since
    today = datetime.now(UTC).date()
    if until < since:
        raise FixSettings(f"last_day {until} is before first_day {since}; swap them")
    if until > today:
        raise FixSettings(f"{until} is in the future; today is {today} (UTC)")
    count = (until - since).days + 1
    if count > MAX_DAYS:
        raise FixSettings(f"{count} days are too many for one answer; ask for at most {MAX_DAYS}")
    return [since + timedelta(days=number) for number in range(count)]
