"""The resource `flow` of the assets: a `Flow`, with the lock of the run that uses it.

A resource here is a thin shell around a plain object, so that tests and the command line can pass their own.
"""

from collections.abc import Iterator

import dagster as dg

from pipeline.flow import Flow
from pipeline.orchestration.names import AppNames
from pipeline.orchestration.run_locks import holding_run_lock
from pipeline.settings import Settings

__all__ = ["flow_resource", "shared_flow_resource"]


@dg.resource(description="The pipeline over the data folder of the settings, for one run")
def flow_resource(context: dg.InitResourceContext) -> Iterator[Flow]:
    """Yield a new `Flow` for each run, with the settings of the environment and `.env`."""
    with Flow(Settings.load()) as flow, holding_run_lock(flow.settings, context.run.run_id if context.run else None):
        tags = AppNames(flow.settings.app).tags
        if context.run and context.instance and not tags.items() <= context.run.tags.items():
            context.instance.add_run_tags(context.run.run_id, tags)  # of a run of assets, without a job of ours
        yield flow


def shared_flow_resource(flow: Flow) -> dg.ResourceDefinition:
    """Return a resource whose `Flow` outlives runs, so that they share its connections and its state of the quotas."""

    @dg.resource(description="The pipeline of the process that runs the backfill")
    def shared(context: dg.InitResourceContext) -> Iterator[Flow]:
        with holding_run_lock(flow.settings, context.run.run_id if context.run else None):
            yield flow

    return shared
