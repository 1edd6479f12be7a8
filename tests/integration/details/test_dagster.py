"""Participant details in Dagster: their assets run after the day is loaded, and are skipped while they are off."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from tests.integration.details.worlds import AFTERWARDS, DAY, call, world
from tests.support.flows import published

TABLE, EVENTS = (
    [dg.AssetKey([layer, table]) for layer in ("lake", "warehouse")] for table in ("detail_points", "timeline_events")
)


@pytest.mark.slow
@pytest.mark.parametrize("lake", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_job_brings_details_to_the_database(lake: bool, flow_for: Callable[..., Flow]) -> None:
    """The day's tables are loaded first, then details of its poor calls; in a file and in a DuckLake."""
    spec = world(call("poor", framerate=3), call("good"))
    with Emulator(spec, clock=ManualClock(AFTERWARDS)) as emulator, dg.instance_for_test() as instance:
        data = flow_for(emulator).settings.data
        given = {"warehouse_file": f"ducklake:{data.parent / 'catalog.ducklake'}"} if lake else {}
        flow = flow_for(emulator, details="poor", **given)
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow), in_this_process=True)
        job = definitions.resolve_job_def("ingest")
        done = job.execute_in_process(partition_key=f"{DAY}", instance=instance)
        rows = len(published(flow, "detail_points"))
        assert emulator.count("participant_details") == 3
        assert rows > 0
        found = {
            event.asset_key: event.materialization.metadata
            for event in done.get_asset_materialization_events()
            if event.asset_key is not None
        }
        assert [found[key]["dagster/partition_row_count"].value for key in TABLE] == [rows, rows]
        events = len(published(flow, "timeline_events"))
        assert events > 0
        assert [found[key]["dagster/partition_row_count"].value for key in EVENTS] == [events, events]
        for endpoint in ("participant_details", "participant_timeline"):
            assert found[dg.AssetKey(["raw", endpoint])]["requests"].value == emulator.count(endpoint) == 3


def test_assets_are_skipped_while_details_are_off(flow_for: Callable[..., Flow]) -> None:
    """They say so, and send nothing."""
    with Emulator(world(call("good")), clock=ManualClock(AFTERWARDS)) as emulator, dg.instance_for_test() as instance:
        flow = flow_for(emulator)
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow), in_this_process=True)
        done = definitions.resolve_job_def("ingest").execute_in_process(partition_key=f"{DAY}", instance=instance)
        skipped = {
            event.asset_key
            for event in done.get_asset_materialization_events()
            if "skipped" in event.materialization.metadata
        }
        raw = {dg.AssetKey(["raw", endpoint]) for endpoint in ("participant_details", "participant_timeline")}
        assert skipped == {*TABLE, *EVENTS, *raw}
        assert emulator.count("participant_details") == emulator.count("participant_timeline") == 0
