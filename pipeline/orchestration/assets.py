"""The assets: raw answers of the API, tables of the lake, tables of the warehouse, one partition a day.

Each asset calls one step of `pipeline.flow`, and says in its metadata what there is and what it took.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from pipeline.endpoints import ENDPOINTS, Endpoint, EndpointName
from pipeline.errors import CallMetricsError, Interrupted
from pipeline.extract.steps import Landed
from pipeline.flow import Flow
from pipeline.orchestration.checks import completeness_results, completeness_specs
from pipeline.orchestration.day_quality import quality_metadata
from pipeline.orchestration.lineage import lake_lineage, raw_columns, table_columns, warehouse_lineage
from pipeline.schema import TABLES

__all__ = ["API_POOL", "SOURCE", "WAREHOUSE_POOL", "build_assets"]

API_POOL = "stream_api"
WAREHOUSE_POOL = "warehouse"

FRESHNESS = dg.FreshnessPolicy.cron(deadline_cron="15 6 * * *", lower_bound_delta=timedelta(hours=4), timezone="UTC")
"""The night's runs, which begin at 02:15 UTC, have loaded something by 06:15. Dagster does not ask of which day it is:
see `checks.build_yesterday_check`."""

SOURCE = dg.AssetSpec(
    "stream_video_api",
    description="Stream's Video API. It lists who took part in a call for 90 days after its end.",
    kinds={"rest"},
    group_name="source",
)


def build_assets(partitions: dg.PartitionsDefinition, *, pools: bool) -> list[dg.AssetsDefinition]:
    """All assets. With `pools`, steps that ask the API and steps that write the database wait for a place.

    The command line goes without: its locks die with their process, a place in a pool does not.
    """
    raw = [_raw_asset(endpoint, partitions, API_POOL if pools else None) for endpoint in ENDPOINTS.values()]

    @dg.multi_asset(
        name="lake",
        specs=[
            dg.AssetSpec(
                ["lake", table.name],
                deps=[["raw", name] for name in ENDPOINTS],
                description=table.comment,
                kinds={"parquet"},
                group_name="lake",
                metadata=_without_none(
                    {
                        "dagster/column_schema": table_columns(table.name),
                        "dagster/column_lineage": lake_lineage(table.name),
                    }
                ),
            )
            for table in TABLES.values()
        ],
        check_specs=completeness_specs(),
        partitions_def=partitions,
    )
    def lake(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> Iterator[Any]:
        day = _day(context)
        with _one_sentence():
            written = flow.build_tables(day)
            seen = flow.completeness(day)
        for name, rows in written.rows.items():
            metadata: dict[str, Any] = {
                "dagster/partition_row_count": rows,
                "path": dg.MetadataValue.path(str(flow.lake.path(name, day))),
                "changed": name in written.changed,
            }
            if name == "windows":
                metadata |= {f"windows_{state}": count for state, count in seen.windows.items()}
                metadata["windows_due"] = seen.due
            if name == "metric_points" and written.unknown_fields:
                metadata["unknown_fields"] = written.unknown_fields
            yield dg.MaterializeResult(asset_key=["lake", name], metadata=metadata)
        yield from completeness_results(seen, datetime.now(UTC))

    @dg.multi_asset(
        name="warehouse",
        specs=[
            dg.AssetSpec(
                ["warehouse", table.name],
                deps=[["lake", table.name]],
                description=table.comment,
                kinds={"duckdb"},
                group_name="warehouse",
                metadata={
                    "dagster/column_schema": table_columns(table.name),
                    "dagster/column_lineage": warehouse_lineage(table.name),
                    "dagster/table_name": table.name,
                },
                freshness_policy=FRESHNESS,
            )
            for table in TABLES.values()
        ],
        partitions_def=partitions,
        pool=WAREHOUSE_POOL if pools else None,
    )
    def warehouse(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> Iterator[Any]:
        day = _day(context)
        with _one_sentence():
            loaded = flow.load([day])
            counts = {name: flow.lake.rows(name, day) for name in TABLES}
        quality = quality_metadata(flow, day, context.log)
        for name, rows in counts.items():
            metadata: dict[str, Any] = {
                "dagster/partition_row_count": rows,
                "path": dg.MetadataValue.path(str(flow.settings.warehouse)),
                "changed": (name, day) in loaded.rows,
            }
            if name == "call_sessions":
                metadata |= quality
            yield dg.MaterializeResult(asset_key=["warehouse", name], metadata=metadata)

    return [*raw, lake, warehouse]


def _raw_asset(endpoint: Endpoint, partitions: dg.PartitionsDefinition, pool: str | None) -> dg.AssetsDefinition:
    """Return the asset of an endpoint: it runs the endpoint's step. It depends on those fetched before it."""
    names = [*ENDPOINTS]
    before: list[Any] = [["raw", name] for name in names[: names.index(endpoint.name)]]

    @dg.asset(
        name=endpoint.name,
        key_prefix="raw",
        group_name="raw",
        deps=before or [SOURCE],
        description=endpoint.description,
        kinds={"json"},
        metadata={"dagster/column_schema": raw_columns()},
        partitions_def=partitions,
        pool=pool,
    )
    def raw(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> dg.MaterializeResult[None]:
        with _one_sentence():
            return _landed(context, flow, endpoint.name, flow.extract.land(endpoint.name, _day(context)))

    return raw


def _day(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


def _landed(
    context: dg.AssetExecutionContext, flow: Flow, endpoint: EndpointName, landed: Landed
) -> dg.MaterializeResult[None]:
    for failure in landed.failures[:20]:
        context.log.warning(failure)
    return dg.MaterializeResult(
        metadata={
            "requests": landed.requests,
            "failures": len(landed.failures),
            "path": dg.MetadataValue.path(str(flow.landing.folder(endpoint, _day(context)))),
        }
    )


def _without_none(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value is not None}


@contextmanager
def _one_sentence() -> Iterator[None]:
    """An error that a user can act on ends the run with its sentence, and is not tried again."""
    try:
        yield
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from error
    except CallMetricsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
