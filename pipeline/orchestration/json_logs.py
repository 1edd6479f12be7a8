"""The log of Dagster's runs as JSON, if CALL_METRICS_LOG_FORMAT says so: the logger `console` of our jobs.

Otherwise Dagster prints the log of a run in colours. What Dagster records of a run is the same in both cases. The form
of a line is in `pipeline.logs`.
"""

import logging
from typing import Any

import dagster as dg
from dagster._core.log_manager import LOG_RECORD_METADATA_ATTR

from pipeline.logs import JsonFormatter
from pipeline.orchestration.names import APP_TAG
from pipeline.settings import Settings

__all__ = ["json_console", "logger_config", "run_loggers"]

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


def logger_config(settings: Settings) -> dict[str, Any] | None:
    """Return the run config that names `run_loggers`; None for text. A run uses only the loggers that it names."""
    loggers = run_loggers(settings)
    return {"loggers": {name: {} for name in loggers}} if loggers else None


class _RunFormatter(JsonFormatter):
    """Adds run, job, step, day and app as fields. Dagster puts them in front of the message, which is restored."""

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
