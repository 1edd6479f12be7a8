"""What Dagster shows about columns: their comments, and what they are made from."""

from __future__ import annotations

import dagster as dg

from pipeline.orchestration.definitions import build_definitions
from pipeline.schema import TABLES
from pipeline.settings import Settings


def test_tables_show_the_comments_of_their_columns() -> None:
    """The column schema in Dagster is that of the contract, comments included."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    for table in TABLES.values():
        for layer in ("lake", "warehouse"):
            schema = graph.get(dg.AssetKey([layer, table.name])).metadata["dagster/column_schema"]
            assert {column.name: column.description for column in schema.columns} == {
                name: table.comment_of(name) for name in table.schema.names
            }


def test_lineage_leads_from_every_column_to_raw_responses() -> None:
    """Column lineage names existing columns of parent assets; only tables computed from others have none."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    columns = {
        key: {column.name for column in graph.get(key).metadata["dagster/column_schema"].columns}
        for key in graph.materializable_asset_keys
    }
    without = set()
    for key in graph.materializable_asset_keys - {key for key in columns if key.path[0] == "raw"}:
        lineage = graph.get(key).metadata.get("dagster/column_lineage")
        if lineage is None:
            without.add("/".join(key.path))
            continue
        assert lineage.deps_by_column.keys() == columns[key]
        for sources in lineage.deps_by_column.values():
            for source in sources:
                assert source.asset_key in graph.get(key).parent_keys
                assert source.column_name in columns[source.asset_key]
    stays = graph.get(dg.AssetKey(["lake", "participant_sessions"])).metadata["dagster/column_lineage"].deps_by_column
    by = {name: [source.asset_key.path[1] for source in sources] for name, sources in stays.items()}
    assert by["joined_at"] == ["participant_sessions"]
    assert by["client_ip"] == ["participant_metrics", "participant_stats"]
    assert by["client_name"] == ["participant_metrics"]
    assert by["latency_ms"] == by["published_video"] == ["participant_stats"]
    assert without == {"lake/ingest_completeness_by_call", "lake/incidents", "lake/incident_calls"}
