"""Checks: what is missing of a day, said in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from pipeline.errors import CallMetricsError
from pipeline.flow import Flow
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import Problem
from pipeline.warehouse.published import newest_day

__all__ = ["YESTERDAY", "build_yesterday_check", "completeness_results", "completeness_specs", "yesterday_result"]

YESTERDAY = "yesterday_is_there"

_OF_WINDOWS = ("windows", "suspect")
_COMPLETE = "every_window_has_landed"
_ATTENDANCE = "everyone_promised_is_held"
_EDGE = "nothing_is_about_to_be_forgotten"
SOON = timedelta(days=14)
"""Before the source forgets, within which what is missing is urgent."""


def completeness_specs() -> list[dg.AssetCheckSpec]:
    """The checks that come with the lake's tables."""
    return [
        dg.AssetCheckSpec(
            _COMPLETE,
            asset=["lake", "windows"],
            description="Every window of every stay in a call that is over has its final answer",
        ),
        dg.AssetCheckSpec(
            _ATTENDANCE,
            asset=["lake", "participant_sessions"],
            description="As many stays are held as the source speaks of",
        ),
        dg.AssetCheckSpec(
            _EDGE,
            asset=["lake", "ingest_completeness_by_call"],
            description=f"Nothing is missing that the source forgets within {SOON.days} days",
        ),
    ]


def completeness_results(seen: DayCompleteness, now: datetime) -> Iterator[dg.AssetCheckResult]:
    """What the checks found on a day, as it is at `now`."""
    edge = f"; {_expires(seen.expires_at, now)}"
    windows_missing = [problem for problem in seen.problems if problem.kind in _OF_WINDOWS]
    others = [problem for problem in seen.problems if problem.kind not in _OF_WINDOWS]
    live = f"; {seen.live_calls} of {seen.calls} calls still go on" if seen.live_calls else ""
    yield _result(
        _COMPLETE,
        seen.day,
        "windows",
        windows_missing,
        edge,
        f"nothing is missing of {sum(seen.windows.values())} windows{live}",
        {"windows_due": seen.due, **seen.windows},
    )
    yield _result(
        _ATTENDANCE,
        seen.day,
        "participant_sessions",
        others,
        edge,
        f"{seen.held} stays in {seen.calls} calls are held, {seen.promised} were promised{live}",
        {"promised": seen.promised, "held": seen.held},
    )
    left = seen.days_left(now)
    is_urgent = now >= seen.expires_at - SOON
    yield _result(
        _EDGE,
        seen.day,
        "ingest_completeness_by_call",
        seen.problems if is_urgent else [],
        f"{edge}, in {left} days" if left else edge,
        f"what is missing can be asked for until {seen.expires_at:%Y-%m-%d}" if seen.problems else "nothing is missing",
        {"days_left": left},
    )


def build_yesterday_check() -> dg.AssetChecksDefinition:
    """Whether yesterday is in the database. A freshness policy is content with a backfill of any day."""

    @dg.asset_check(
        asset=["warehouse", "call_sessions"],
        name=YESTERDAY,
        description="The published database has the day before today (UTC), with calls or without",
    )
    def yesterday_is_there(flow: dg.ResourceParam[Flow]) -> dg.AssetCheckResult:
        return yesterday_result(flow.settings.warehouse, datetime.now(UTC).date())

    return yesterday_is_there


def yesterday_result(published: Path, today: date) -> dg.AssetCheckResult:
    """What the check finds on a day."""
    yesterday = today - timedelta(days=1)
    try:
        newest, is_there = newest_day(published, yesterday)
    except CallMetricsError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    said = f"the newest day in it is {newest}" if newest else "there is no day in it"
    return dg.AssetCheckResult(
        passed=bool(is_there),
        description=f"{yesterday} is in the database"
        if is_there
        else f"{yesterday} is not in the database, {said}; see whether the schedule trailing_days runs, and its runs",
        metadata={"newest_day": f"{newest}"} if newest else None,
    )


def _expires(instant: datetime, now: datetime) -> str:
    return f"the source {'forgets' if instant > now else 'forgot'} the first of it on {instant:%Y-%m-%d}"


def _result(
    name: str,
    day: date,
    table: str,
    problems: Sequence[Problem],
    edge: str,
    otherwise: str,
    counts: dict[str, int],
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=["lake", table],
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        # With the day: Dagster shows of which run a result is, not of which partition.
        description=f"{day}: {'; '.join(map(str, problems[:10]))}{edge}" if problems else f"{day}: {otherwise}",
        metadata=dict(counts),
    )
