"""Runs days for the command line: through the job `ingest`, in this process.

The runs are recorded in the Dagster instance like any other. How the instance is opened is in `instance`, and how
Dagster's web interface is started is in `ui`.
"""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import CallMetricsError, Interrupted
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.instance import unusable_records
from pipeline.orchestration.kept_engines import kept_engines
from pipeline.orchestration.resources import shared_flow_resource

__all__ = ["Runner", "original_error"]

SILENT = {"console": {"config": {"log_level": "CRITICAL"}}}
"""Dagster prints nothing about a run: the command line reports by itself."""


class Runner:
    """Runs days through the job `ingest` in this process, one after the other, with one `Flow`."""

    def __init__(self, instance: dg.DagsterInstance, flow: Flow) -> None:
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow), in_this_process=True)
        self._job = definitions.resolve_job_def("ingest")
        self._instance = instance

    def run(self, day: date) -> None:
        """Run all assets for a day. Raises what the steps raise, and the run is recorded even so.

        Also raises `FixStorage` if Dagster's records cannot be used.
        """
        try:
            with kept_engines():
                self._job.execute_in_process(
                    partition_key=day.isoformat(), instance=self._instance, run_config={"loggers": SILENT}
                )
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            raise Interrupted("stopped; everything fetched so far has landed") from None
        except Exception as error:
            if (ours := original_error(error)) is not None:
                raise ours from None
            if isinstance(error, SQLAlchemyError | sqlite3.Error):
                raise unusable_records(Path(self._instance.root_directory), error) from None
            raise


def original_error(error: BaseException) -> CallMetricsError | None:
    """Return our error among the causes of an error that Dagster raised; None if there is none."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # Dagster's errors can be causes of each other
        if isinstance(cause, CallMetricsError):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None
