"""What Dagster loads: `defs`."""

import dagster as dg

from pipeline.orchestration.assets import SOURCE, build_assets
from pipeline.orchestration.checks import build_yesterday_check
from pipeline.orchestration.resources import flow_resource
from pipeline.orchestration.schedules import build_morning_schedule, build_schedule
from pipeline.orchestration.sensors import build_sensor
from pipeline.settings import Settings

__all__ = ["build_definitions", "defs"]


def build_definitions(
    settings: Settings, *, flow: dg.ResourceDefinition = flow_resource, in_this_process: bool = False
) -> dg.Definitions:
    """All definitions. `flow` is the resource of that name; `in_this_process` leaves out what only a daemon needs."""
    # A fixed start: one that moved with the day would hide the days that the source has forgotten and we have not.
    partitions = dg.DailyPartitionsDefinition(start_date=settings.start.isoformat(), timezone="UTC", end_offset=1)
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = [SOURCE, *build_assets(partitions, pools=not in_this_process)]
    said = "One day of calls, from the API to the database"
    if in_this_process:
        ingest = dg.define_asset_job("ingest", description=said)
        return dg.Definitions(assets, jobs=[ingest], executor=dg.in_process_executor, resources={"flow": flow})
    yesterday = build_yesterday_check()
    ingest = dg.define_asset_job(
        "ingest", selection=dg.AssetSelection.all() - dg.AssetSelection.checks(yesterday), description=said
    )
    morning = dg.define_asset_job(
        "morning_check", selection=dg.AssetSelection.checks(yesterday), description="Whether yesterday has arrived"
    )
    return dg.Definitions(
        assets,
        asset_checks=[yesterday],
        jobs=[ingest, morning],
        schedules=[build_schedule(ingest, partitions), build_morning_schedule(morning)],
        sensors=[build_sensor(ingest, partitions)],
        executor=dg.in_process_executor,
        resources={"flow": flow},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions for the settings of this process."""
    return build_definitions(Settings.load())
