"""Checks: what is missing of a day, said in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipeline.survey import Problem, Survey

__all__ = ["completeness_results", "completeness_specs"]

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


def completeness_results(seen: Survey, now: datetime) -> Iterator[dg.AssetCheckResult]:
    """What the checks found on a day, as it is at `now`."""
    left = seen.days_left(now)
    edge = f"; the source forgets the first of it on {seen.edge:%Y-%m-%d}"
    windows_missing = [problem for problem in seen.problems if problem.kind == "windows"]
    others = [problem for problem in seen.problems if problem.kind != "windows"]
    yield _result(_COMPLETE, "windows", windows_missing, edge, {"windows_due": seen.due, **seen.windows})
    yield _result(_ATTENDANCE, "participant_sessions", others, edge, {"promised": seen.promised, "held": seen.held})

    urgent = seen.problems if now >= seen.edge - SOON else []
    yield _result(_EDGE, "ingest_completeness_by_call", urgent, f"{edge}, in {left} days", {"days_left": left})


def _result(
    name: str, table: str, problems: Sequence[Problem], edge: str, counts: dict[str, int]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=["lake", table],
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{'; '.join(map(str, problems[:10]))}{edge}" if problems else "nothing is missing",
        metadata=dict(counts),
    )
