"""The view `metric_points`: samples as points again, one row per metric.

It is the only view that depends on where it is: in a DuckLake, samples have all ids, which Parquet stores for next to
nothing, and a join would make most queries two to four times slower.
"""

from __future__ import annotations

from pipeline.schema import METRICS, TABLES
from pipeline.sql import quoted
from pipeline.warehouse.pivot import SERIES_KEY

__all__ = ["points_view"]

IDS = ("session_date", *SERIES_KEY)


def points_view(*, samples_have_ids: bool) -> str:
    """Return the statement that creates the view.

    UNPIVOT would be shorter, but here a filter on metric reads only the column of that metric.
    """
    found_by = IDS if samples_have_ids else ("series_id",)
    points = " UNION ALL ".join(
        f"SELECT {', '.join(found_by)}, '{metric}' AS metric, \"timestamp\", {metric} AS value "
        f"FROM store.samples WHERE {metric} IS NOT NULL"
        for metric in METRICS
    )
    join = "" if samples_have_ids else " INNER JOIN store.series AS series USING (series_id)"
    owner = "points" if samples_have_ids else "series"
    columns = ", ".join(
        f"{owner if name in IDS else 'points'}.{quoted(name)}" for name in TABLES["metric_points"].schema.names
    )
    return f"CREATE OR REPLACE VIEW metric_points AS SELECT {columns} FROM ({points}) AS points{join}"
