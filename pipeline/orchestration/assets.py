"""The assets: raw responses, tables of the lake, tables of the warehouse. Each has one partition per day.

An asset runs one step of `flow` and reports in its metadata what there is and what the step did. What Dagster shows
about columns is in `lineage`; what is missing of a day is in `checks`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from pipeline.endpoints import DAILY_ENDPOINTS, ENDPOINTS, Endpoint
from pipeline.errors import CallMetricsError, Interrupted
from pipeline.flow import Flow
from pipeline.orchestration.checks import completeness_checks, completeness_results
from pipeline.orchestration.day_quality import quality_metadata
from pipeline.orchestration.incidents import incident_check, incident_metadata, incident_result
from pipeline.orchestration.lineage import lake_lineage, raw_columns, table_columns, warehouse_lineage
from pipeline.orchestration.names import AppNames
from pipeline.orchestration.releases import check_releases, release_check
from pipeline.planning.completeness import DayCompleteness
from pipeline.retention import prune
from pipeline.schema import TABLES, Table
from pipeline.tables.build import TablesBuilt
from pipeline.tables.extra import EXTRA_TABLES

__all__ = [
    "API_POOL",
    "CLEANING",
    "DETAILS_POOL",
    "WAREHOUSE_POOL",
    "build_assets",
    "build_cleaning",
    "build_pruning",
    "build_source",
]

API_POOL = "stream_api"
DETAILS_POOL = "stream_api_details"
WAREHOUSE_POOL = "warehouse"

CLEANING = "cleaning"
"""The group of what runs without a day."""

DAY_TABLES = [table for table in TABLES.values() if table.name not in EXTRA_TABLES]
"""Tables of every day. Details and timelines come after these: which calls are poor is known only then."""

EXTRA_STEPS = {"details": "detail_points", "timeline": "timeline_events"}
"""Steps that build and load the other tables, by name."""

OFF = {"skipped": "CALL_METRICS_DETAILS is off"}

PRUNED = {"skipped": "the day was complete and was pruned"}

MAX_LOGGED_FAILURES = 20
"""Failed requests that a step logs one by one; its metadata has their number."""

FRESHNESS = dg.FreshnessPolicy.cron(deadline_cron="15 6 * * *", lower_bound_delta=timedelta(hours=4), timezone="UTC")
"""The night's runs start at 02:15 UTC and must have loaded something by 06:15. Dagster does not ask which day that was:
see `checks.yesterday_is_there`."""


def build_source(names: AppNames) -> dg.AssetSpec:
    """Return the asset that stands for the app at Stream."""
    return dg.AssetSpec(
        names.key("stream_video_api"),
        description="Stream's Video API. It lists who took part in a call for 90 days after its end.",
        kinds={"rest"},
        group_name="source",
    )


def build_assets(partitions: dg.PartitionsDefinition, names: AppNames, *, pools: bool) -> list[dg.AssetsDefinition]:
    """Return all assets of an app but its source.

    With `pools`, steps that send requests or write the database wait for a slot in a pool. The command line does
    without pools: when its process dies, its locks are free at once, and slots would not be.
    """
    return [
        *(
            _raw_asset(
                endpoint,
                partitions,
                names,
                names.pool(DETAILS_POOL if endpoint.is_extra else API_POOL) if pools else None,
            )
            for endpoint in ENDPOINTS.values()
        ),
        _lake_assets(partitions, names),
        _warehouse_assets(partitions, names, names.pool(WAREHOUSE_POOL) if pools else None),
        *(
            _extra_assets(step, table, partitions, names, names.pool(WAREHOUSE_POOL) if pools else None)
            for step, table in EXTRA_STEPS.items()
        ),
    ]


def _raw_asset(
    endpoint: Endpoint, partitions: dg.PartitionsDefinition, names: AppNames, pool: str | None
) -> dg.AssetsDefinition:
    """Return the asset of an endpoint. It depends on the endpoints that are fetched before it.

    Details and timelines depend on the loaded day: which calls are poor is known only then.
    """
    if endpoint.is_extra:
        before: list[Any] = [names.key("warehouse", table.name) for table in DAY_TABLES]
    else:
        before = [names.key("raw", name) for name in DAILY_ENDPOINTS[: DAILY_ENDPOINTS.index(endpoint.name)]]

    @dg.asset(
        name=endpoint.name,
        key_prefix=names.key("raw"),
        group_name="raw",
        deps=before or [build_source(names)],
        description=endpoint.description,
        kinds={"json"},
        metadata={"dagster/column_schema": raw_columns()},
        partitions_def=partitions,
        pool=pool,
    )
    def raw(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> dg.MaterializeResult[None]:
        if endpoint.is_extra and flow.settings.details == "off":
            return dg.MaterializeResult(metadata=OFF)
        with _failing_with_our_sentence():
            day = _day(context)
            if flow.pruned.has(day):
                return dg.MaterializeResult(metadata=PRUNED)
            land = flow.land_extra if endpoint.is_extra else flow.extract.land
            landed = land(endpoint.name, day)
        for failure in landed.failures[:MAX_LOGGED_FAILURES]:
            context.log.warning(failure)
        return dg.MaterializeResult(
            metadata={
                "requests": landed.requests,
                "failures": len(landed.failures),
                "path": dg.MetadataValue.path(str(landed.folder)),
            }
        )

    return raw


def _lake_assets(partitions: dg.PartitionsDefinition, names: AppNames) -> dg.AssetsDefinition:
    """Return the assets of all tables of the lake: one step builds them, and runs their checks."""

    @dg.multi_asset(
        name="lake",
        specs=[_lake_spec(table, names) for table in DAY_TABLES],
        check_specs=[*completeness_checks(names), incident_check(names)],
        partitions_def=partitions,
    )
    def lake(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> Iterator[Any]:
        day = _day(context)
        with _failing_with_our_sentence():
            built = flow.build_tables(day)
            completeness = flow.known_completeness(day)
            incidents, calls = flow.incidents(day)
        for table in (table.name for table in DAY_TABLES):
            metadata = {**PRUNED} if completeness.pruned else _lake_metadata(table, built, completeness)
            if table == "incidents" and not completeness.pruned:
                metadata |= incident_metadata(incidents, calls)
            yield dg.MaterializeResult(asset_key=names.key("lake", table), metadata=metadata)
        yield from completeness_results(completeness, datetime.now(UTC), names)
        yield incident_result(day, incidents, names, is_pruned=completeness.pruned == "all")

    return lake


def _lake_spec(table: Table, names: AppNames) -> dg.AssetSpec:
    lineage = lake_lineage(table.name, names)
    return dg.AssetSpec(
        names.key("lake", table.name),
        deps=[
            names.key("raw", name)
            for name in ([EXTRA_TABLES[table.name].endpoint] if table.name in EXTRA_TABLES else DAILY_ENDPOINTS)
        ],
        description=table.comment,
        kinds={"parquet"},
        group_name="lake",
        metadata={"dagster/column_schema": table_columns(table.name)}
        | ({"dagster/column_lineage": lineage} if lineage else {}),
    )


def _lake_metadata(table: str, built: TablesBuilt, completeness: DayCompleteness) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": built.rows[table],
        "path": dg.MetadataValue.path(str(built.paths[table])),
        "changed": table in built.changed,
    }
    if table == "windows":
        metadata |= {f"windows_{state}": count for state, count in completeness.windows.items()}
        metadata["windows_due"] = completeness.due
    if table == "metric_points" and built.unknown_fields:
        metadata["unknown_fields"] = built.unknown_fields
    return metadata


def _warehouse_assets(partitions: dg.PartitionsDefinition, names: AppNames, pool: str | None) -> dg.AssetsDefinition:
    """Return the assets of all tables of the warehouse: one step loads and publishes them."""

    @dg.multi_asset(
        name="warehouse",
        specs=[_warehouse_spec(table, names) for table in DAY_TABLES],
        check_specs=[release_check(names)],
        partitions_def=partitions,
        pool=pool,
    )
    def warehouse(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> Iterator[Any]:
        day = _day(context)
        with _failing_with_our_sentence():
            loaded = flow.load([day])
            is_pruned = flow.pruned.has(day)
            flow.compact(day)
            counts = {} if is_pruned else flow.row_counts(day)
        quality = {} if is_pruned else quality_metadata(flow, day, context.log)
        for table in (table.name for table in DAY_TABLES):
            if is_pruned:
                yield dg.MaterializeResult(asset_key=names.key("warehouse", table), metadata=PRUNED)
                continue
            metadata: dict[str, Any] = {
                "dagster/partition_row_count": counts[table],
                "path": dg.MetadataValue.path(str(flow.settings.warehouse)),
                "changed": (table, day) in loaded.rows,
            }
            if table == "call_sessions":
                metadata |= quality
            yield dg.MaterializeResult(asset_key=names.key("warehouse", table), metadata=metadata)
        yield check_releases(flow, context.log, names)

    return warehouse


def _extra_assets(
    step: str, table: str, partitions: dg.PartitionsDefinition, names: AppNames, pool: str | None
) -> dg.AssetsDefinition:
    """Return the assets of a table of details or timelines: one step builds it, and loads it if it changed."""

    @dg.multi_asset(
        name=step,
        specs=[_lake_spec(TABLES[table], names), _warehouse_spec(TABLES[table], names)],
        partitions_def=partitions,
        pool=pool,
    )
    def build_and_load(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> Iterator[Any]:
        day = _day(context)
        metadata: dict[str, Any] = {**OFF}
        if flow.settings.details != "off":
            with _failing_with_our_sentence():
                built = flow.build_tables(day)
                flow.load([day])
                flow.compact(day)
                is_pruned = flow.pruned.has(day)
            metadata = {
                "dagster/partition_row_count": built.rows[table],
                "changed": table in built.changed,
            }
            if is_pruned:
                metadata = {**PRUNED}
        for layer in ("lake", "warehouse"):
            yield dg.MaterializeResult(asset_key=names.key(layer, table), metadata=metadata)

    return build_and_load


def _warehouse_spec(table: Table, names: AppNames) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.key("warehouse", table.name),
        deps=[names.key("lake", table.name)],
        description=table.comment,
        kinds={"duckdb"},
        group_name="warehouse",
        metadata={
            "dagster/column_schema": table_columns(table.name),
            "dagster/column_lineage": warehouse_lineage(table.name, names),
            "dagster/table_name": names.table(table.name),
        },
        freshness_policy=FRESHNESS,
    )


def build_cleaning(names: AppNames) -> dg.AssetsDefinition:
    """Return the asset that cleans a DuckLake: old snapshots, and files that nothing refers to any more."""

    @dg.asset(
        name="cleaned",
        key_prefix=names.key("warehouse"),
        group_name=CLEANING,
        deps=[names.key("warehouse", table) for table in TABLES],
        description="Removes snapshots older than CALL_METRICS_SNAPSHOT_DAYS from a DuckLake, and unused files",
        kinds={"ducklake"},
    )
    def cleaned(flow: dg.ResourceParam[Flow]) -> dg.MaterializeResult[None]:
        with _failing_with_our_sentence():
            done = flow.clean_lake()
        if done is None:
            return dg.MaterializeResult(metadata={"nothing to do": "the warehouse is a file"})
        return dg.MaterializeResult(metadata={"snapshots": done.snapshots, "files": done.files})

    return cleaned


def build_pruning(names: AppNames) -> dg.AssetsDefinition:
    """Return the asset that removes old data, as CALL_METRICS_KEEP_RAW_DAYS and CALL_METRICS_KEEP_DAYS say."""

    @dg.asset(
        name="pruned",
        key_prefix=names.key() or None,
        group_name=CLEANING,
        deps=[names.key("warehouse", table) for table in TABLES],
        description="Removes raw responses older than CALL_METRICS_KEEP_RAW_DAYS, and days older than "
        "CALL_METRICS_KEEP_DAYS, if the day is complete",
        kinds={"parquet"},
    )
    def pruned(context: dg.AssetExecutionContext, flow: dg.ResourceParam[Flow]) -> dg.MaterializeResult[None]:
        with _failing_with_our_sentence():
            done = prune(flow, datetime.now(UTC))
        for kept in done.kept:
            context.log.warning(f"{kept.day} stays: {kept.why}")
        return dg.MaterializeResult(
            metadata={
                "days_without_raw_responses": ", ".join(f"{one.day}" for one in done.pruned if one.removed == "raw"),
                "days_removed": ", ".join(f"{one.day}" for one in done.pruned if one.removed == "all"),
                "days_that_stay": len(done.kept),
                "bytes": done.size,
            }
        )

    return pruned


def _day(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


@contextmanager
def _failing_with_our_sentence() -> Iterator[None]:
    """Within the block, an error that a user can act on fails the run with its sentence, without another attempt."""
    try:
        yield
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from error
    except CallMetricsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
