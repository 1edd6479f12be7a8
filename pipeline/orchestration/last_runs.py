"""When the latest runs of days ended, from Dagster's records. Only reads: a dead run stays as it is recorded."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from pipeline.orchestration.instance import recorded_instance, unusable_records
from pipeline.orchestration.names import AppNames
from pipeline.settings import Settings

__all__ = ["last_runs"]

ENDED = {
    "success": dg.DagsterRunStatus.SUCCESS,
    "failure": dg.DagsterRunStatus.FAILURE,
    "canceled": dg.DagsterRunStatus.CANCELED,
}

JOB = "ingest"


def last_runs(settings: Settings) -> dict[str, datetime]:
    """Return when the latest runs of the app's job `ingest` ended (UTC), by `success`, `failure` and `canceled`.

    A status without a run is left out. Raises `FixSettings` if dagster.yaml cannot be used, and `FixStorage` if the
    records cannot.
    """
    found: dict[str, datetime] = {}
    with recorded_instance(settings) as (instance, folder):
        if instance is None:
            return found
        try:
            for name, status in ENDED.items():
                wanted = dg.RunsFilter(job_name=JOB, statuses=[status], tags=AppNames(settings.app).tags)
                for record in instance.get_run_records(wanted, limit=1):
                    if record.end_time is not None:
                        found[name] = datetime.fromtimestamp(record.end_time, UTC)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise unusable_records(folder, error) from None
    return found
