"""What Dagster loads: assets by name, and their partitions."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from pipeline.endpoints import ENDPOINT_NAMES
from pipeline.orchestration.definitions import build_definitions
from pipeline.schema import TABLES
from pipeline.settings import Settings


def test_definitions_have_an_asset_per_endpoint_and_table() -> None:
    """Raw responses by endpoint, then each table in the lake and in the warehouse, all partitioned by the same days."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    keys = {"/".join(key.path) for key in graph.materializable_asset_keys}
    raw = {f"raw/{endpoint}" for endpoint in ENDPOINT_NAMES}
    assert keys == raw | {f"{layer}/{table}" for layer in ("lake", "warehouse") for table in TABLES}
    partitions = {graph.get(key).partitions_def for key in graph.materializable_asset_keys}
    (days,) = partitions
    assert days.get_first_partition_key() == "2026-01-01"
    assert days.get_last_partition_key() == datetime.now(UTC).date().isoformat()
    assert graph.get(dg.AssetKey(["warehouse", "tracks"])).parent_keys == {dg.AssetKey(["lake", "tracks"])}
