"""When the job runs by itself: nightly for the last days and what older ones lack, and whenever the source has news."""

from collections.abc import Iterator
from datetime import UTC, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.flow import Flow

__all__ = [
    "OLDER_DAYS",
    "TRAILING_DAYS",
    "build_morning_schedule",
    "build_schedule",
]

TRAILING_DAYS = 3
"""Days before today that the nightly schedule goes over: calls end, and reports come, after midnight."""

OLDER_DAYS = 10
"""Days before these that it asks for again at most, in one night, because something of them is missing."""


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
        older = [day for day in flow.incomplete_days(now) if day < days[-1]][:OLDER_DAYS]
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
