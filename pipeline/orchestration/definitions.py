"""What Dagster loads: `defs`."""

import dagster as dg

from pipeline.orchestration.assets import SOURCE, build_assets
from pipeline.orchestration.automation import build_schedule, build_sensor
from pipeline.orchestration.resources import flow_resource
from pipeline.settings import Settings

__all__ = ["build_definitions", "defs"]


def build_definitions(
    settings: Settings, *, flow: dg.ResourceDefinition = flow_resource, in_this_process: bool = False
) -> dg.Definitions:
    """All definitions. `flow` is the resource of that name; `in_this_process` leaves out what only a daemon needs."""
    # A fixed start: one that moved with the day would hide the days that the source has forgotten and we have not.
    partitions = dg.DailyPartitionsDefinition(start_date=settings.start.isoformat(), timezone="UTC", end_offset=1)
    ingest = dg.define_asset_job("ingest", description="One day of calls, from the API to the database")
    return dg.Definitions(
        assets=[SOURCE, *build_assets(partitions, pools=not in_this_process)],
        jobs=[ingest],
        schedules=[] if in_this_process else [build_schedule(ingest, partitions)],
        sensors=[] if in_this_process else [build_sensor(ingest, partitions)],
        executor=dg.in_process_executor,
        resources={"flow": flow},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions for the settings of this process."""
    return build_definitions(Settings.load())
