"""What runs log as JSON, where the settings want it: Dagster's logger `console` of our jobs, in our form.

Without it, Dagster prints the log of a run in colours. What Dagster records of a run does not change.
"""

import logging
from typing import Any

import dagster as dg
from dagster._core.log_manager import LOG_RECORD_METADATA_ATTR

from pipeline.logs import JsonFormatter
from pipeline.orchestration.names import APP_TAG
from pipeline.settings import Settings

__all__ = ["json_console", "run_loggers", "use_loggers"]

PARTITION_TAG = "dagster/partition"


@dg.logger(
    config_schema={"log_level": dg.Field(str, default_value="INFO", is_required=False)},
    description="One JSON object a line, on standard error",
)
def json_console(context: dg.InitLoggerContext) -> logging.Logger:
    """Return a logger that writes what a run logs as one JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(_RunFormatter())
    logger = logging.Logger("dagster", level=context.logger_config["log_level"])
    logger.addHandler(handler)
    return logger


def run_loggers(settings: Settings) -> dict[str, dg.LoggerDefinition]:
    """Return the loggers of a code location; none for text, so that Dagster uses its own."""
    return {"console": json_console} if settings.log_format == "json" else {}


def use_loggers(settings: Settings) -> dict[str, Any] | None:
    """Return the configuration of runs that makes them use `run_loggers`: Dagster uses only what a run asks for."""
    return {"loggers": {name: {} for name in run_loggers(settings)}} if run_loggers(settings) else None


class _RunFormatter(JsonFormatter):
    """Adds run, job, step, day and app to the message, which Dagster has put in front of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        about: dict[str, Any] | None = getattr(record, LOG_RECORD_METADATA_ATTR, None)
        if about is None:
            return super().format(record)
        tags = about["job_tags"]
        fields = {"run_id": about["run_id"], "job": about["job_name"], "step": about["step_key"]}
        fields |= {"day": tags.get(PARTITION_TAG), "app": tags.get(APP_TAG)}
        said = {**record.__dict__, "msg": about["orig_message"], "args": ()}
        return super().format(logging.makeLogRecord(fields | {k: v for k, v in said.items() if v is not None}))
