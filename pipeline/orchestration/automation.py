"""When the job runs by itself: nightly for the last days, and whenever the source has news of any day."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.errors import CallMetricsError
from pipeline.flow import Flow
from pipeline.orchestration.liveness import end_dead_runs

__all__ = ["OVERLAP", "TRAILING_DAYS", "build_schedule", "build_sensor"]

TRAILING_DAYS = 3
"""Days before today that the nightly schedule goes over: calls end, and reports come, after midnight."""

OVERLAP = timedelta(minutes=10)
"""By which each look of the sensor begins before the last one: the source indexes with a delay, and rows do not say
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
            since = datetime.fromisoformat(context.cursor) if context.cursor else None
            news = flow.news(since - OVERLAP if since else None)
        except CallMetricsError as error:
            return dg.SkipReason(str(error))
        except ValueError:
            return dg.SkipReason(f"the cursor {context.cursor!r} is no instant; reset it in the sensor's page")
        requests = [
            dg.RunRequest(run_key=f"{day}:{_version(rows)}", partition_key=day.isoformat())
            for day, rows in sorted(news.by_day.items())
            if day >= first_day
        ]
        return dg.SensorResult(run_requests=requests, cursor=news.asked_at.isoformat())

    return late_data


def _version(rows: list[str]) -> str:
    """The same for the same news, so that an overlap does not run a day twice."""
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]
