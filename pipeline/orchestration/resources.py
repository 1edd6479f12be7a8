"""What assets are given: a `Flow`.

A resource here is a thin shell around a plain object, so that tests and the command line can bring their own.
"""

from collections.abc import Iterator

import dagster as dg

from pipeline.flow import Flow
from pipeline.orchestration.run_locks import alive
from pipeline.settings import Settings

__all__ = ["flow_resource", "shared_flow_resource"]


@dg.resource(description="The pipeline over the data folder of the settings, for one run")
def flow_resource(context: dg.InitResourceContext) -> Iterator[Flow]:
    """A `Flow` of its own for each run, from the environment and `.env`."""
    with Flow(Settings.load()) as flow, alive(flow.settings, context.run.run_id if context.run else None):
        yield flow


def shared_flow_resource(flow: Flow) -> dg.ResourceDefinition:
    """A `Flow` that outlives runs: its connections and what it knows of the quotas are used by all of them."""

    @dg.resource(description="The pipeline of the process that runs the backfill")
    def shared(context: dg.InitResourceContext) -> Iterator[Flow]:
        with alive(flow.settings, context.run.run_id if context.run else None):
            yield flow

    return shared
