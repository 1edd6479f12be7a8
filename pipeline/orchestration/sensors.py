"""The sensor `late_data`: runs the days of which the source has updates."""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.errors import CallMetricsError, FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.run_locks import end_dead_runs

__all__ = ["LOOK_OVERLAP", "LOOK_SPAN", "MAX_LOOKS_PER_TICK", "Cursor", "build_sensor"]

LOOK_OVERLAP = timedelta(minutes=10)
"""How far each look reaches back before the end of the last one: updates come in while we look, and rows do not say
when they were updated."""

LOOK_SPAN = timedelta(hours=1)
"""Most time that one look covers, so that after weeks of being off a look is as short as any other."""

MAX_LOOKS_PER_TICK = 24
"""Most looks in one tick: a day of updates."""

TICK_BUDGET_SECONDS = 20.0
"""Seconds after which a tick starts no further look. Dagster ends a tick after 60, and its progress would be lost."""


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
    for look in range(MAX_LOOKS_PER_TICK):
        since = cursor.asked_at - LOOK_OVERLAP if cursor.asked_at else None
        until = cursor.asked_at + LOOK_SPAN if cursor.asked_at else None
        try:
            updates = flow.extract.updates(since, until)
        except CallMetricsError:
            if look == 0:
                raise
            break
        found = [(row["session_date"], row["version"][:16]) for row in updates.sessions.to_pylist()]
        for day, version in found:
            if version not in cursor.seen:
                unseen.setdefault(day, []).append(version)
        cursor = Cursor(min(updates.listed_at, until or updates.listed_at), frozenset(version for _, version in found))
        if cursor.asked_at == updates.listed_at or time.monotonic() - began > TICK_BUDGET_SECONDS:
            break
    return cursor, unseen


def _digest(versions: list[str]) -> str:
    return hashlib.sha256("".join(sorted(versions)).encode()).hexdigest()[:16]
