"""The checks: what is missing of a day, in sentences, and whether yesterday is in the database.

When a day is complete is decided in `planning.completeness`, and the sentences are those of `planning.problems`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from pipeline.errors import CallMetricsError
from pipeline.flow import Flow
from pipeline.orchestration.names import AppNames
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import Problem, counted
from pipeline.warehouse.published import newest_day

__all__ = ["URGENT_WITHIN", "build_morning_check", "completeness_checks", "completeness_results"]

URGENT_WITHIN = timedelta(days=14)
"""What is missing is urgent if it expires at the source within this time."""

MAX_PROBLEMS = 10
"""Problems that one check lists."""


def completeness_checks(names: AppNames) -> list[dg.AssetCheckSpec]:
    """Return the checks that run with the tables of the lake: of windows, of stays, and of what is about to expire.

    Their names cannot change: Dagster keeps their results by name.
    """
    return [
        dg.AssetCheckSpec(
            "every_window_has_landed",
            asset=names.key("lake", "windows"),
            description="Every window of every stay in a call that has ended has a final response",
        ),
        dg.AssetCheckSpec(
            "everyone_promised_is_held",
            asset=names.key("lake", "participant_sessions"),
            description="As many stays are stored as the source counts",
        ),
        dg.AssetCheckSpec(
            "nothing_is_about_to_be_forgotten",
            asset=names.key("lake", "ingest_completeness_by_call"),
            description=f"Nothing is missing that expires at the source within {URGENT_WITHIN.days} days",
        ),
    ]


def completeness_results(
    completeness: DayCompleteness, now: datetime, names: AppNames | None = None
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of `completeness_checks` for a day, at `now`. `names` are those of an app with a name."""
    windows_check, stays_check, expiry_check = completeness_checks(names or AppNames())
    expired = completeness.expires_at <= now
    expiry = (
        f"the first of it {'expired' if expired else 'expires'} at the source on {completeness.expires_at:%Y-%m-%d}"
    )
    live = (
        f"; still live: {completeness.live_calls} of {counted(completeness.calls, 'call')}"
        if completeness.live_calls
        else ""
    )
    yield _result(
        windows_check,
        completeness.day,
        [problem for problem in completeness.problems if problem.kind in ("windows", "suspect")],
        expiry,
        f"nothing is missing from {counted(sum(completeness.windows.values()), 'window')}{live}",
        {"windows_due": completeness.due, **completeness.windows},
    )
    yield _result(
        stays_check,
        completeness.day,
        [problem for problem in completeness.problems if problem.kind in ("calls", "stays")],
        expiry,
        f"stored: {counted(completeness.held, 'stay')} in {counted(completeness.calls, 'call')}; the source counts "
        f"{completeness.promised}{live}",
        {"promised": completeness.promised, "held": completeness.held},
    )
    days_left = completeness.days_left(now)
    is_urgent = now >= completeness.expires_at - URGENT_WITHIN
    yield _result(
        expiry_check,
        completeness.day,
        completeness.problems if is_urgent else [],
        f"{expiry}, in {counted(days_left, 'day')}" if days_left else expiry,
        f"what is missing can be fetched until {completeness.expires_at:%Y-%m-%d}"
        if completeness.problems
        else "nothing is missing",
        {"days_left": days_left},
    )


def build_morning_check(names: AppNames) -> dg.AssetChecksDefinition:
    """Return the check `yesterday_is_there`. A freshness policy passes after a backfill of any day."""

    @dg.asset_check(
        asset=names.key("warehouse", "call_sessions"),
        description="The published database has the day before today (UTC), with calls or without",
    )
    def yesterday_is_there(flow: dg.ResourceParam[Flow]) -> dg.AssetCheckResult:
        """Return whether yesterday is in the database."""
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        try:
            newest, is_there = newest_day(flow.settings.warehouse, yesterday)
        except CallMetricsError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        found = f"the newest day in it is {newest}" if newest else "it has no days"
        return dg.AssetCheckResult(
            passed=is_there,
            description=f"{yesterday} is in the database"
            if is_there
            else f"{yesterday} is not in the database, {found}; check that the schedule trailing_days is on, and its "
            "runs",
            metadata={"newest_day": f"{newest}"} if newest else None,
        )

    return yesterday_is_there


def _result(
    check: dg.AssetCheckSpec,
    day: date,
    problems: Sequence[Problem],
    expiry: str,
    otherwise: str,
    counts: Mapping[str, int],
) -> dg.AssetCheckResult:
    """Return the result of a check: failed with the problems and when they expire, or passed with `otherwise`."""
    text = "; ".join([*map(str, problems[:MAX_PROBLEMS]), expiry]) if problems else otherwise
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{day}: {text}",  # with the day: Dagster shows the run of a result, and not its partition
        metadata=dict(counts),
    )
