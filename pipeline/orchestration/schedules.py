"""The schedules: every night the last days and older incomplete ones, every morning a look whether yesterday is there.

A DuckLake is cleaned every night too, and old data is removed if a setting lets it go.

Which days are incomplete is decided in `flow` and `planning`. Runs that start because the source has updates are in
`sensors`.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline.flow import Flow
from pipeline.planning.due import TRAILING_DAYS

__all__ = [
    "MAX_OLDER_DAYS",
    "build_cleaning_schedule",
    "build_morning_schedule",
    "build_nightly_schedule",
    "build_pruning_schedule",
]

MAX_OLDER_DAYS = 10
"""Most older days that run in one night because something of them is missing."""


def build_nightly_schedule(
    job: UnresolvedAssetJobDefinition, partitions: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """Return the schedule `trailing_days`: the last days, yesterday first, then older ones that are incomplete."""

    @dg.schedule(
        name="trailing_days",
        job=job,
        cron_schedule="15 2 * * *",
        execution_timezone="UTC",
        description=f"Every night at 02:15 UTC, runs the last {TRAILING_DAYS} days, and up to {MAX_OLDER_DAYS} older "
        "days that are incomplete and have not expired at the source: first those that expire first",
    )
    def trailing_days(context: dg.ScheduleEvaluationContext, flow: dg.ResourceParam[Flow]) -> Iterator[dg.RunRequest]:
        now = context.scheduled_execution_time.astimezone(UTC)
        days = [now.date() - timedelta(days=back) for back in range(1, TRAILING_DAYS + 1)]
        older = [day for day in flow.incomplete_days(now) if day < days[-1]][:MAX_OLDER_DAYS]
        for rank, day in enumerate([*days, *older], start=1):
            if partitions.has_partition_key(f"{day}"):
                # Tonight's date is part of the key: Dagster runs a key once, and a day that failed must run again.
                key = f"{now.date()}:{day}"
                yield dg.RunRequest(run_key=key, partition_key=f"{day}", tags={"dagster/priority": f"{-rank}"})

    return trailing_days


def build_cleaning_schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule `clean_lake`, for the time before the night's runs."""
    return _daily(job, "45 1", "Every night at 01:45 UTC, removes old snapshots and unused files of a DuckLake")


def build_pruning_schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule `prune`, before a DuckLake is cleaned."""
    return _daily(
        job, "30 1", "Every night at 01:30 UTC, removes raw responses and days that are complete and old enough"
    )


def build_morning_schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule `morning_check`, for the time when the night's runs have ended."""
    return _daily(job, "15 6", "Every morning at 06:15 UTC, checks that yesterday is in the database")


def _daily(job: UnresolvedAssetJobDefinition, at: str, description: str) -> dg.ScheduleDefinition:
    """Return a schedule with the name of its job, every day `at` a minute and an hour (UTC), as cron writes them."""
    return dg.ScheduleDefinition(
        name=job.name, job=job, cron_schedule=f"{at} * * *", execution_timezone="UTC", description=description
    )
