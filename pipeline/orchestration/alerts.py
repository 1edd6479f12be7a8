"""Alerts in Dagster: what tells that a run failed or that it is over, that something cannot wait, and a look every day.

Nothing of it is defined unless CALL_METRICS_ALERTS is set, and then it is on. What is told is decided in `alerts`, and
no address is in Dagster: not in a definition, a log line or metadata.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipeline.alerts.facts import SOON
from pipeline.alerts.teller import Told, run_ended, run_failed, tell_quietly
from pipeline.flow import Flow
from pipeline.orchestration.names import AppNames
from pipeline.planning.problems import counted

__all__ = ["build_alert_job", "build_alert_schedule", "build_alert_sensors"]

WILL_RETRY = "dagster/will_retry"
"""Dagster's tag of a failed run that it starts again."""

ON_SENSOR = dg.DefaultSensorStatus.RUNNING

UNEXPECTED = "it ended with an error that Call Metrics did not expect; Dagster shows the error with the run"
"""The error itself may hold anything, and stays in Dagster."""


def build_alert_job(names: AppNames, config: Mapping[str, Any] | None = None) -> dg.JobDefinition:
    """Return the job `alerts`: look at everything, and tell what is new or over. `config` is that of its runs."""

    @dg.op(name="tell", description="Looks at everything that may need a person, and tells what is new or over")
    def tell_op(context: dg.OpExecutionContext, flow: dg.ResourceParam[Flow]) -> None:
        context.log.info(_summary(tell_quietly(flow)))

    @dg.job(
        name="alerts",
        description="Tells the addresses in CALL_METRICS_ALERTS what needs a person, each once",
        tags=names.tags,
        executor_def=dg.in_process_executor,
        config=dict(config or {}),
    )
    def alerts() -> None:
        tell_op()

    return alerts


def build_alert_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule `alerts`, for the time when yesterday must be there."""
    return dg.ScheduleDefinition(
        name="alerts",
        job=job,
        cron_schedule="30 6 * * *",
        execution_timezone="UTC",
        description="Every morning at 06:30 UTC, tells what needs a person, and what is over",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def build_alert_sensors() -> Iterator[dg.SensorDefinition]:
    """Yield the sensors: of runs that failed, of runs that ended well, and of what cannot wait for the morning."""

    @dg.run_failure_sensor(
        name="tell_failed_run",
        minimum_interval_seconds=30,
        description="Tells that a run failed, unless Dagster starts it again",
        default_status=ON_SENSOR,
    )
    def tell_failed_run(context: dg.RunFailureSensorContext, flow: dg.ResourceParam[Flow]) -> None:
        if context.dagster_run.tags.get(WILL_RETRY) != "true":
            run_failed(flow, _subject(context), _sentence(context))

    @dg.run_status_sensor(
        name="tell_ended_run",
        run_status=dg.DagsterRunStatus.SUCCESS,
        minimum_interval_seconds=60,
        description="Tells that a failed run is over, once it has ended well",
        default_status=ON_SENSOR,
    )
    def tell_ended_run(context: dg.RunStatusSensorContext, flow: dg.ResourceParam[Flow]) -> None:
        run_ended(flow, [_subject(context)])

    @dg.sensor(
        name="tell_soon",
        minimum_interval_seconds=600,
        description="Tells within ten minutes that the quota is refused or the disk is nearly full",
        default_status=ON_SENSOR,
        job=None,
    )
    def tell_soon(flow: dg.ResourceParam[Flow]) -> dg.SkipReason:
        return dg.SkipReason(_summary(tell_quietly(flow, SOON)))

    yield from (tell_failed_run, tell_ended_run, tell_soon)


def _subject(context: dg.RunStatusSensorContext) -> str:
    """Return the day of a run, or its job if it has none."""
    return context.partition_key or context.dagster_run.job_name


def _sentence(context: dg.RunFailureSensorContext) -> str:
    """Return our sentence about a failure, if it is one of ours; otherwise one without the error's own words."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return str(data.user_failure_data.description)
    message = context.failure_event.message or ""
    return message if message.startswith("The process of this run is dead") else UNEXPECTED


def _summary(told: Told | None) -> str:
    if told is None:
        return "nothing could be told; the log says why"
    return f"{counted(len(told.messages), 'message')} sent, {counted(len(told.open), 'cause')} open"
