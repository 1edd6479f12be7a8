"""What --from and --to mean to each command. How a date is parsed is in `settings`."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from pipeline.errors import FixSettings
from pipeline.settings import Settings, parse_date

__all__ = ["days_asked", "days_to_run", "days_to_show", "landed_between", "last_days", "none_between", "yesterday"]

log = logging.getLogger(__name__)

_SPAN = re.compile(r"([1-9][0-9]{0,3})([dw])", re.ASCII)


def days_asked(since: str | None, until: str | None, span: str | None, settings: Settings) -> list[date] | None:
    """Return the days that --from and --to, or --last, name; None if none of them is given. Raises `FixSettings`."""
    if span and (since or until):
        raise FixSettings("--last stands instead of --from and --to; give one or the other")
    if span:
        return last_days(span, settings)
    return days_to_run(since, until, settings) if since else None


def days_to_run(since: str, until: str | None, settings: Settings) -> list[date]:
    """Return the days from --from to --to (default: today), both included.

    Raises `FixSettings` if they cannot be run.
    """
    today = datetime.now(UTC).date()
    first, last = parse_date("--from", since), parse_date("--to", until) if until else today
    if until is None and first > today:
        raise FixSettings(f"--from {first} is in the future; today is {today} (UTC)")
    _refuse_swapped(first, last)
    if first < settings.start:
        raise FixSettings(f"--from {first} is before CALL_METRICS_START, which is {settings.start}; set it earlier")
    if last > today:
        raise FixSettings(f"--to {last} is in the future; today is {today} (UTC)")
    return _range(first, last)


def last_days(span: str, settings: Settings) -> list[date]:
    """Return so many days before today, and today. `span` is such as 7d or 2w. It is cut at CALL_METRICS_START, and a
    warning says so.

    Raises `FixSettings` if it is not.
    """
    parts = _SPAN.fullmatch(span)
    if parts is None:
        raise FixSettings(f"--last {span[:40]!r} is not a number of days or weeks; write it like 7d or 2w")
    back = int(parts[1]) * (7 if parts[2] == "w" else 1)
    today = datetime.now(UTC).date()
    first = today - timedelta(days=back)
    if first < settings.start:
        log.warning("--last %s begins on %s, which is CALL_METRICS_START", span, settings.start)
    return _range(max(first, settings.start), today)


def yesterday() -> date:
    """Return the day before today, in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)


def days_to_show(landed: Sequence[date], since: str | None, until: str | None) -> list[date]:
    """Return every day from --from (default: the first landed day) to --to (default: the last one), gaps included.

    Days after today are left out. Raises `FixSettings` if --from and --to are not dates in order.
    """
    ends = landed_between(landed, since, until)
    ends += [parse_date(name, text) for name, text in (("--from", since), ("--to", until)) if text]
    return _range(min(ends, default=date.max), min(max(ends, default=date.min), datetime.now(UTC).date()))


def landed_between(landed: Sequence[date], since: str | None, until: str | None) -> list[date]:
    """Return the landed days from --from to --to. Raises `FixSettings` if these are not dates in order."""
    first = parse_date("--from", since) if since else date.min
    last = parse_date("--to", until) if until else date.max
    _refuse_swapped(first, last)
    return [day for day in landed if first <= day <= last]


def none_between(landed: Sequence[date], since: str | None, until: str | None) -> str:
    """Return the sentence for a range without a landed day, although some have landed."""
    ends = " ".join(f"{word} {end}" for word, end in (("from", since), ("to", until)) if end)
    return f"no day {ends} has landed; the landed days are {landed[0]} to {landed[-1]}"


def _refuse_swapped(first: date, last: date) -> None:
    if last < first:
        raise FixSettings(f"--to {last} is before --from {first}; swap them")


def _range(first: date, last: date) -> list[date]:
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
