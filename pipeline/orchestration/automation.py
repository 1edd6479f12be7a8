"""When the job runs by itself: nightly for the last days and what older ones lack, and whenever the source has news."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.errors import CallMetricsError, FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.liveness import end_dead_runs
from pipeline.plan import FORGETTING

__all__ = [
    "LOOKS",
    "OLDER_DAYS",
    "OVERLAP",
    "SPAN",
    "TRAILING_DAYS",
    "build_morning_schedule",
    "build_schedule",
    "build_sensor",
    "incomplete_days",
]

TRAILING_DAYS = 3
"""Days before today that the nightly schedule goes over: calls end, and reports come, after midnight."""

OLDER_DAYS = 10
"""Days before these that it asks for again at most, in one night, because something of them is missing."""

OVERLAP = timedelta(minutes=10)
"""By which each look of the sensor begins before the end of the last one: changes come in while it looks, and rows do
not say when they were updated."""

SPAN = timedelta(hours=1)
"""What one look covers at most, so that one of a sensor that was off for weeks is no longer than others."""

LOOKS = 24
"""Looks in one tick at most: a day of changes."""

LONG_LISTING = timedelta(minutes=10)
"""Longer than the list of a day's calls takes: one that ended so long after the day began after it."""

ENOUGH = 20.0
"""Seconds after which a tick begins no further look; Dagster ends it after 60, and it would get nowhere."""


def build_schedule(job: UnresolvedAssetJobDefinition, partitions: dg.PartitionsDefinition) -> dg.ScheduleDefinition:
    """Every night: the last days, yesterday first, then those before them that lack something."""

    @dg.schedule(
        name="trailing_days",
        job=job,
        cron_schedule="15 2 * * *",
        execution_timezone="UTC",
        description=f"Every night at 02:15 UTC, backfills the last {TRAILING_DAYS} days, and up to {OLDER_DAYS} older "
        "ones that are incomplete and not forgotten by the source, those first that it forgets first",
    )
    def trailing_days(context: dg.ScheduleEvaluationContext, flow: dg.ResourceParam[Flow]) -> Iterator[dg.RunRequest]:
        now = context.scheduled_execution_time.astimezone(UTC)
        days = [now.date() - timedelta(days=back) for back in range(1, TRAILING_DAYS + 1)]
        older = [day for day in incomplete_days(flow, now) if day < days[-1]][:OLDER_DAYS]
        for rank, day in enumerate([*days, *older], start=1):
            if partitions.has_partition_key(f"{day}"):
                # With tonight's date in the key: a key runs once, and what failed last night is asked for again.
                key = f"{now.date()}:{day}"
                yield dg.RunRequest(run_key=key, partition_key=f"{day}", tags={"dagster/priority": f"{-rank}"})

    return trailing_days


def build_morning_schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Every morning, when the night's runs are over."""
    return dg.ScheduleDefinition(
        name="morning_check",
        job=job,
        cron_schedule="15 6 * * *",
        execution_timezone="UTC",
        description="Every morning at 06:15 UTC, checks that yesterday is in the database",
    )


def incomplete_days(flow: Flow, now: datetime) -> list[date]:
    """The days that lack something which asking again may bring, those first that the source forgets first.

    A survey reads all of a day's listings, so it is made only where the certificates of its calls give a reason to.
    """
    edges = {}
    for day in flow.landing.days():
        if now < _day_ends(day) + FORGETTING and not _is_certified(flow, day):
            try:
                seen = flow.survey(day)
                asks = seen.live_calls or any(problem.kind != "suspect" for problem in seen.problems)
                if asks or not flow.lake.has("ingest_completeness_by_call", day):
                    edges[day] = seen.edge
            except CallMetricsError:  # something of it is broken: a run mends it, or says what to do
                edges[day] = _day_ends(day) + FORGETTING
    return sorted(edges, key=lambda day: (edges[day], day))


def _day_ends(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time_of_day(), UTC)


def _is_certified(flow: Flow, day: date) -> bool:
    """Whether the tables say that every call of the day is complete, and its calls were listed well after its end."""
    try:
        rows = flow.lake.read("ingest_completeness_by_call", day, ["is_complete"])
        page = flow.landing.newest("call_stats", day)
    except CallMetricsError:
        return False
    if "is_complete" not in rows.column_names:  # of an earlier version
        return False
    if page is None or page["error"] is not None or page["next_cursor"] is not None:
        return False
    return all(rows.column("is_complete").to_pylist()) and page["fetched_at"] >= _day_ends(day) + LONG_LISTING


def build_sensor(
    job: UnresolvedAssetJobDefinition, partitions: dg.TimeWindowPartitionsDefinition
) -> dg.SensorDefinition:
    """Asks the source what was updated since the last look, and requests a run for each day concerned."""

    @dg.sensor(
        name="late_data",
        job=job,
        minimum_interval_seconds=300,
        description="Runs the days of which the source has news: calls that ended, reports that came late",
    )
    def late_data(context: dg.SensorEvaluationContext, flow: dg.ResourceParam[Flow]) -> dg.SensorResult | dg.SkipReason:
        end_dead_runs(context.instance, flow.settings)
        try:
            before = Cursor.read(context.cursor)
            cursor, unseen = _catch_up(flow, before)
        except CallMetricsError as error:
            return dg.SkipReason(str(error))
        days = {day: unseen.get(day, []) for day in unseen.keys() | before.waiting if day >= partitions.start.date()}
        ready = sorted(day for day in days if partitions.has_partition_key(f"{day}"))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{day}:{_digest(days[day])}", partition_key=f"{day}") for day in ready
            ],
            cursor=replace(cursor, waiting=frozenset(days.keys() - set(ready))).text(),
        )

    return late_data


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has looked.

    `asked_at` is the instant up to which it has, by the source's clock; None before the first look. `seen` are the
    versions that the last look brought, for the overlap brings them again. `waiting` are days with news for which there
    is no partition yet: the source's clock is ahead of ours.
    """

    asked_at: datetime | None = None
    seen: frozenset[str] = frozenset()
    waiting: frozenset[date] = frozenset()

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """The cursor of the last tick. Raises `FixSettings` where someone has written another into its place."""
        if not text:
            return cls()
        try:
            stored = json.loads(text)
            waiting = frozenset(date.fromisoformat(day) for day in stored.get("waiting", ()))
            return cls(datetime.fromisoformat(stored["asked_at"]), frozenset(stored["seen"]), waiting)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FixSettings(f"the cursor {text[:60]!r} is none of this sensor; reset it in Dagster") from None

    def text(self) -> str:
        """As `read` takes it."""
        asked_at = self.asked_at.isoformat() if self.asked_at else None
        return json.dumps(
            {"asked_at": asked_at, "seen": sorted(self.seen), "waiting": sorted(f"{day}" for day in self.waiting)}
        )


def _catch_up(flow: Flow, cursor: Cursor) -> tuple[Cursor, dict[date, list[str]]]:
    """Look on from the cursor, span by span; returns how far that went, and the versions not seen before by day.

    A session that is updated while we look moves to a later span: it is missed in this one and found in that. Raises
    what the first look raises; an error later on ends the looking, and the next tick meets it again.
    """
    began = time.monotonic()
    unseen: dict[date, list[str]] = {}
    for look in range(LOOKS):
        since = cursor.asked_at - OVERLAP if cursor.asked_at else None
        until = cursor.asked_at + SPAN if cursor.asked_at else None
        try:
            news = flow.news(since, until)
        except CallMetricsError:
            if look == 0:
                raise
            break
        found = [(row["session_date"], row["version"][:16]) for row in news.sessions.to_pylist()]
        for day, version in found:
            if version not in cursor.seen:
                unseen.setdefault(day, []).append(version)
        cursor = Cursor(min(news.asked_at, until or news.asked_at), frozenset(version for _, version in found))
        if cursor.asked_at == news.asked_at or time.monotonic() - began > ENOUGH:
            break
    return cursor, unseen


def _digest(versions: list[str]) -> str:
    return hashlib.sha256("".join(sorted(versions)).encode()).hexdigest()[:16]
