"""The sensor `late_data`: runs the days that the source has updated.

It lists updates span by span, from where the last tick stopped up to the present. How updates are listed is in
`extract.steps`; what a run of a day then fetches is decided in `planning`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.errors import CallMetricsError, FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.run_locks import end_dead_runs

__all__ = ["MAX_SPANS_PER_TICK", "OVERLAP", "SPAN", "TICK_BUDGET_SECONDS", "Cursor", "build_sensor"]

OVERLAP = timedelta(minutes=10)
"""How far each list reaches back before the end of the last one: updates arrive while it is fetched, and rows do not
contain the time of their update."""

SPAN = timedelta(hours=1)
"""Most time that one list covers, so that the first list after weeks is as short as any other."""

MAX_SPANS_PER_TICK = 24
"""Most lists in one tick: a day of updates."""

TICK_BUDGET_SECONDS = 20.0
"""Seconds after which a tick starts no other list. Dagster ends a tick after 60, and its progress would be lost."""

NewVersions = Mapping[date, Iterable[str]]
"""Days with updates, and the versions of their call sessions."""


def build_sensor(
    job: UnresolvedAssetJobDefinition, partitions: dg.TimeWindowPartitionsDefinition
) -> dg.SensorDefinition:
    """Return the sensor `late_data`: it requests a run for each day with updates that it has not seen before."""

    @dg.sensor(
        name="late_data",
        job=job,
        minimum_interval_seconds=300,
        description="Runs the days that the source has updated: calls that ended, reports that arrived late",
    )
    def late_data(context: dg.SensorEvaluationContext, flow: dg.ResourceParam[Flow]) -> dg.SensorResult | dg.SkipReason:
        end_dead_runs(context.instance, flow.settings)
        try:
            before = Cursor.read(context.cursor)
            cursor, new = _catch_up(flow, before)
            pruned = set(flow.pruned.days())  # they are not requested again, whatever the source says of them now
        except CallMetricsError as error:
            return dg.SkipReason(str(error))
        days = {day for day in new.keys() | before.waiting if day >= partitions.start.date() and day not in pruned}
        ready = sorted(day for day in days if partitions.has_partition_key(f"{day}"))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{day}:{_digest(new.get(day, ()))}", partition_key=f"{day}") for day in ready
            ],
            cursor=replace(cursor, waiting=frozenset(days.difference(ready))).text(),
        )

    return late_data


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has listed updates.

    Attributes:
        listed_until: the end of the last list, by the source's clock; None before the first one.
        seen: versions in the last list, since the next one overlaps with it.
        waiting: days with updates that have no partition yet, since the source's clock is ahead of ours.
    """

    listed_until: datetime | None = None
    seen: frozenset[str] = frozenset()
    waiting: frozenset[date] = frozenset()

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Return the cursor of the last tick. Raises `FixSettings` if someone replaced it by other text."""
        if not text:
            return cls()
        try:
            stored = json.loads(text)
            waiting = frozenset(date.fromisoformat(day) for day in stored.get("waiting", ()))
            return cls(datetime.fromisoformat(stored["asked_at"]), frozenset(stored["seen"]), waiting)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FixSettings(f"the cursor {text[:60]!r} was not written by this sensor; reset it in Dagster") from None

    def text(self) -> str:
        """Return it as JSON, which `read` reads. The key `asked_at` cannot change: Dagster has stored cursors."""
        listed_until = self.listed_until.isoformat() if self.listed_until else None
        return json.dumps(
            {"asked_at": listed_until, "seen": sorted(self.seen), "waiting": sorted(f"{day}" for day in self.waiting)}
        )


@dataclass(frozen=True)
class _UpdateList:
    """The updates of one span.

    Attributes:
        updates: day and version of each call session in it.
        until: up to when it has all updates, by the source's clock.
        is_last: whether that is the present.
    """

    updates: list[tuple[date, str]]
    until: datetime
    is_last: bool


def _catch_up(flow: Flow, cursor: Cursor) -> tuple[Cursor, NewVersions]:
    """List updates span by span, from the cursor on. Returns the new cursor, and the new versions by day.

    A session that is updated while a list is fetched moves to a later span: this list misses it, a later one has it.
    Raises what the first list raises. An error in a later one ends the tick, and the next tick meets it again.
    """
    started = time.monotonic()
    new: dict[date, list[str]] = {}
    for number in range(MAX_SPANS_PER_TICK):
        try:
            listed = _list_updates(flow, cursor.listed_until)
        except CallMetricsError:
            if number == 0:
                raise
            break
        for day, version in listed.updates:
            if version not in cursor.seen:
                new.setdefault(day, []).append(version)
        cursor = Cursor(listed.until, frozenset(version for _, version in listed.updates))
        if listed.is_last or time.monotonic() - started > TICK_BUDGET_SECONDS:
            break
    return cursor, new


def _list_updates(flow: Flow, listed_until: datetime | None) -> _UpdateList:
    """List the updates after the last list, of at most `SPAN`; of the last day if there was none before."""
    since = listed_until - OVERLAP if listed_until else None
    until = listed_until + SPAN if listed_until else None
    listed = flow.extract.updates(since, until)
    end = min(listed.listed_at, until or listed.listed_at)
    updates = [(row["session_date"], row["version"][:16]) for row in listed.sessions.to_pylist()]
    return _UpdateList(updates, end, is_last=end == listed.listed_at)


def _digest(versions: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(versions)).encode()).hexdigest()[:16]
