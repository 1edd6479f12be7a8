"""When the job runs by itself: nightly for the last days, and whenever the source has news of any day."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.errors import CallMetricsError, FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.liveness import end_dead_runs

__all__ = ["OVERLAP", "TRAILING_DAYS", "build_schedule", "build_sensor"]

TRAILING_DAYS = 3
"""Days before today that the nightly schedule goes over: calls end, and reports come, after midnight."""

OVERLAP = timedelta(minutes=10)
"""By which each look of the sensor begins before the last one: changes come in while it looks, and rows do not say
when they were updated."""


def build_schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Every night, the last days, yesterday first."""

    @dg.schedule(
        name="trailing_days",
        job=job,
        cron_schedule="15 2 * * *",
        execution_timezone="UTC",
        description=f"Backfills the last {TRAILING_DAYS} days every night at 02:15 UTC",
    )
    def trailing_days(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        for back in range(1, TRAILING_DAYS + 1):
            day = (today - timedelta(days=back)).isoformat()
            yield dg.RunRequest(run_key=f"{today}:{day}", partition_key=day, tags={"dagster/priority": str(-back)})

    return trailing_days


def build_sensor(job: UnresolvedAssetJobDefinition, first_day: date) -> dg.SensorDefinition:
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
            cursor = Cursor.read(context.cursor)
            news = flow.news(cursor.asked_at - OVERLAP if cursor.asked_at else None)
        except CallMetricsError as error:
            return dg.SkipReason(str(error))
        sessions = news.sessions.to_pylist()
        unseen: dict[date, list[str]] = {}
        for row in sessions:
            if row["version"] not in cursor.seen and row["session_date"] >= first_day:
                unseen.setdefault(row["session_date"], []).append(row["version"])
        requests = [
            dg.RunRequest(run_key=f"{day}:{_digest(versions)}", partition_key=day.isoformat())
            for day, versions in sorted(unseen.items())
        ]
        recent = news.asked_at - 2 * OVERLAP
        seen = {row["version"] for row in sessions if row["generated_at"] is None or row["generated_at"] >= recent}
        return dg.SensorResult(run_requests=requests, cursor=Cursor(news.asked_at, frozenset(seen)).text())

    return late_data


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has looked: when it asked, by the source's clock, and what the overlap will bring again."""

    asked_at: datetime | None = None
    seen: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """The cursor of the last tick. Raises `FixSettings` where someone has written another into its place."""
        if not text:
            return cls()
        try:
            stored = json.loads(text)
            return cls(datetime.fromisoformat(stored["asked_at"]), frozenset(stored["seen"]))
        except (ValueError, KeyError, TypeError):
            raise FixSettings(f"the cursor {text[:60]!r} is none of this sensor; reset it in Dagster") from None

    def text(self) -> str:
        """As `read` takes it."""
        asked_at = self.asked_at.isoformat() if self.asked_at else None
        return json.dumps({"asked_at": asked_at, "seen": sorted(self.seen)})


def _digest(versions: list[str]) -> str:
    return hashlib.sha256("".join(sorted(versions)).encode()).hexdigest()[:16]
