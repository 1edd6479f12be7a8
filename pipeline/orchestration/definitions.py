"""What Dagster loads: `defs`. The parts are made in the other modules and put together here."""

from typing import Any

import dagster as dg

from pipeline.catalog import LakeCatalog
from pipeline.orchestration.alerts import build_alert_job, build_alert_schedule, build_alert_sensors
from pipeline.orchestration.assets import CLEANING, build_assets, build_cleaning, build_pruning, build_source
from pipeline.orchestration.checks import build_morning_check
from pipeline.orchestration.json_logs import logger_config, run_loggers
from pipeline.orchestration.names import AppNames
from pipeline.orchestration.resources import flow_resource
from pipeline.orchestration.schedules import (
    build_cleaning_schedule,
    build_morning_schedule,
    build_nightly_schedule,
    build_pruning_schedule,
)
from pipeline.orchestration.sensors import build_sensor
from pipeline.settings import Settings

__all__ = ["build_definitions", "defs"]


def build_definitions(
    settings: Settings, *, flow: dg.ResourceDefinition = flow_resource, in_this_process: bool = False
) -> dg.Definitions:
    """Return all definitions. `flow` is the resource of that name.

    An app with a name is a code location of its own, see `names`. With `in_this_process`, leave out what only a daemon
    needs: pools, schedules, the sensor and the morning's check.
    """
    # A fixed start: if it moved with the day, Dagster would hide days that have expired at the source and that we have.
    partitions = dg.DailyPartitionsDefinition(start_date=settings.start.isoformat(), timezone="UTC", end_offset=1)
    names = AppNames(settings.app)
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = [
        build_source(names),
        *build_assets(partitions, names, pools=not in_this_process),
    ]
    description = "One day of calls, from the API to the database"
    if in_this_process:
        ingest = dg.define_asset_job("ingest", description=description, tags=names.tags)
        return dg.Definitions(assets, jobs=[ingest], executor=dg.in_process_executor, resources={"flow": flow})
    morning_check = build_morning_check(names)
    yesterday = dg.AssetSelection.checks(morning_check)
    by_day = dg.AssetSelection.all() - yesterday - dg.AssetSelection.groups(CLEANING)
    loggers = logger_config(settings)
    ingest = dg.define_asset_job("ingest", selection=by_day, description=description, tags=names.tags, config=loggers)
    morning = dg.define_asset_job(
        "morning_check",
        selection=yesterday,
        description="Check that yesterday is in the database",
        tags=names.tags,
        config=loggers,
    )
    jobs: list[Any] = [ingest, morning]
    schedules = [build_nightly_schedule(ingest, partitions), build_morning_schedule(morning)]
    if isinstance(settings.warehouse, LakeCatalog):
        cleaning = build_cleaning(names)
        assets.append(cleaning)
        jobs.append(
            dg.define_asset_job(
                "clean_lake",
                selection=[cleaning],
                description="Clean the DuckLake",
                tags=names.tags,
                config=loggers,
            )
        )
        schedules.append(build_cleaning_schedule(jobs[-1]))
    if settings.keep_raw_days is not None or settings.keep_days is not None:
        pruning = build_pruning(names)
        assets.append(pruning)
        jobs.append(
            dg.define_asset_job(
                "prune", selection=[pruning], description="Remove old data", tags=names.tags, config=loggers
            )
        )
        schedules.append(build_pruning_schedule(jobs[-1]))
    sensors = [build_sensor(ingest, partitions)]
    if settings.alerts:
        jobs.append(build_alert_job(names, loggers))
        schedules.append(build_alert_schedule(jobs[-1]))
        sensors += build_alert_sensors()
    return dg.Definitions(
        assets,
        asset_checks=[morning_check],
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        executor=dg.in_process_executor,
        loggers=run_loggers(settings),
        resources={"flow": flow},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the settings of this process."""
    return build_definitions(Settings.load())
