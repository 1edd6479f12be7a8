"""What runs in Dagster log as JSON."""

import json
import logging

import dagster as dg
import pytest

from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.json_logs import json_console, logger_config
from pipeline.settings import Settings

JSON = Settings(log_format="json")

DAY = "2026-11-01"


def test_run_logs_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    """With the message as it was, its fields, and the run, job, step, day and app that it is about."""

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        context.log.warning("news of %s", "ann", extra={"endpoint": "call_stats"})
        context.log.debug("a detail")

    @dg.job(logger_defs={"console": json_console}, config=logger_config(JSON), tags={"app": "support"})
    def job() -> None:
        work()

    result = job.execute_in_process(tags={"dagster/partition": DAY})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (said,) = [line for line in lines if "news" in line["message"]]
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "level": "warning",
        "logger": "dagster",
        "message": "news of ann",
        "endpoint": "call_stats",
        "day": DAY,
        "app": "support",
        "run_id": result.run_id,
        "job": "job",
        "step": "work",
    }
    assert not [line for line in lines if line["level"] == "debug"]


@pytest.mark.parametrize("more", [{}, {"CALL_METRICS_ALERTS": "json://localhost/a"}, {"CALL_METRICS_KEEP_DAYS": "30"}])
def test_every_job_uses_it_if_it_is_set(more: dict[str, str]) -> None:
    """Without the setting, Dagster's own logger is left as it is."""
    for form, expected in (("json", {"console": {}}), ("text", None)):
        definitions = build_definitions(Settings(**{"CALL_METRICS_LOG_FORMAT": form, **more}))
        jobs = [definitions.resolve_job_def(job.name) for job in definitions.jobs or ()]
        assert len(jobs) == 2 + bool(more)
        for job in jobs:
            config = job.get_run_config_for_partition_key(DAY) if job.partitions_def else job.run_config or {}
            assert config.get("loggers") == expected, job.name
            assert (job.loggers.get("console") is json_console) == (form == "json")


def test_level_of_a_run_can_be_chosen(capfd: pytest.CaptureFixture[str]) -> None:
    """By the configuration of the run, as with Dagster's own loggers; a record of something else is JSON too."""
    logger = json_console.logger_fn(
        dg.InitLoggerContext({"log_level": "ERROR"}, json_console, job_def=None, run_id=None)
    )
    logger.warning("not heard")
    logger.error("heard", extra={"status": 500})
    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (line["message"], line["status"], logger.level) == ("heard", 500, logging.ERROR)
