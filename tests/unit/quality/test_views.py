"""All views: documented, usable wherever the database is opened, and within their bounds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.quality.views import VIEWS, read_docs
from pipeline.sql import statement_names
from tests.support.small_world import Query, SmallWorld, only, rows_of, steady

MODEL = {
    "intercept": 4.0,
    "half_width": 1.0,
    "scores": [1.0, 5.0],
    "stars": [1.0, 5.0],
    "terms": [{"feature": "poor", "center": 0.5, "weight": -1.0}],
    "drivers": [{"feature": "poor", "stars": -1.0, "low": 0.0, "high": 1.0}],
}
"""A model of ratings: without one, some views have no row."""


def test_every_view_and_column_is_documented(query: Query) -> None:
    """The comments in the database are those of the view's file, which documents no column that does not exist."""
    here = {name for name, package in VIEWS.items() if package == "pipeline.quality"}
    assert here == set(statement_names("pipeline.quality")) - {"day_framerate", "day_publishers", "poor_calls", "store"}
    comments = {row["view_name"]: row["comment"] for row in query("FROM duckdb_views() WHERE NOT internal")}
    columns = query("FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal")
    ids = {row["column_name"] for row in columns if row["table_name"] == "tracks"}
    for view in VIEWS:
        docs = read_docs(view)
        found = {row["column_name"]: row["comment"] for row in columns if row["table_name"] == view}
        assert comments[view] == docs.comment
        assert docs.comment.startswith("One row per ")
        assert all(found.values()), view
        assert found == {name: docs.columns[name] for name in found}
        assert not set(docs.columns) - set(found) - ids, view
    thresholds = [row["comment"] for row in columns if row["table_name"] == "quality_thresholds"]
    assert len(thresholds) == 8
    assert all(thresholds)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_works_on_an_empty_database(tmp_path: Path, view: str) -> None:
    """There is no row, and no error."""
    with SmallWorld().load(tmp_path) as database:
        assert rows_of(database, f"FROM {view}") == []


def test_views_work_if_the_database_is_attached(world: SmallWorld, query: Query, tmp_path: Path) -> None:
    """BI tools attach the file under a name of their own."""
    world.track(steady(0, 60))
    for version in ("1.9", "1.10"):
        world.stay(version, client_name="web", client_version=version)
    with world.load(tmp_path) as database:
        database.execute("INSERT INTO store.meta VALUES ('start', '2026-01-01')")  # so that the ledger has a row
        database.execute("INSERT INTO store.meta VALUES ('rating model', $model)", {"model": json.dumps(MODEL)})
    with duckdb.connect() as database:
        database.execute(f"ATTACH '{tmp_path / 'published.duckdb'}' AS calls (READ_ONLY)")
        for view in VIEWS:
            assert len(rows_of(database, f"FROM calls.{view}")) > 0


def test_views_return_millions_of_rows_without_hanging(tmp_path: Path) -> None:
    """DuckDB 1.5 hangs when fetching a long result of UNION ALL over joins (its issue 22215): no view ends with one."""
    texts = ", ".join(["''"] * 8)
    with SmallWorld().load(tmp_path) as database:
        database.execute(f"INSERT INTO store.series SELECT range, '2026-11-01', {texts}, range, false FROM range(9)")
        database.execute(
            "INSERT INTO store.samples "
            "SELECT DATE '2026-11-01', range % 9, range, 1000000, 0, range, 1, 1, 1, 1 FROM range(1000000)"
        )
        for view, expected in {
            "track_samples": 1_000_000,
            "track_minutes": 150_003,
            "metric_points": 4_000_000,
        }.items():
            assert database.execute(f"SELECT session_date FROM {view}").to_arrow_table().num_rows == expected


def test_views_keep_their_bounds(tmp_path: Path) -> None:
    """300 odd tracks: shares are in 0 to 1, time is within the stay, and Wilson's interval is around its share.

    n is shown, and no track without enough data is judged.
    """
    random = np.random.default_rng(7)
    world = SmallWorld()
    world.call()
    for number in range(300):
        user = f"user-{number}"
        since = int(random.integers(0, 100))
        instants = since + np.cumsum(random.choice([5, 5, 5, 5, 5, 30], int(random.integers(1, 30)))).astype(int)
        points = {
            metric: [(int(at), float(random.choice(values))) for at in instants if random.random() < 0.95]
            for metric, values in {
                "bitrate": (0, 1e5, 2e6),
                "framerate": (0, 5, 10, 30, 30, 30),
                "resolution_width": (640, 1280, 720),
                "resolution_height": (360, 720, 1280),
            }.items()
        }
        world.stay(user, since, int(instants[-1]) + 1, network_type=str(random.choice(["wifi", "cellular"])))
        world.track(points, user_id=user, kind=str(random.choice(["video", "screenshare"])))
    with world.load(tmp_path) as database:
        for track in rows_of(database, "FROM track_quality"):
            shares = [track[name] for name in track if name.endswith(("_share", "coverage"))]
            assert all(share is None or 0 <= share <= 1 for share in shares)
            assert track["active_seconds"] <= track["stay_seconds"]
            if track["class"] != "unclassified":
                assert min(track["active_seconds"], track["framerate_seconds"]) >= 30
                assert track["coverage"] >= 0.5
            assert (track["class"] == "poor") == (track["poor_due_to"] is not None)
        for person in rows_of(database, "FROM participant_quality"):
            assert 0 <= person["published_seconds"] <= (person["left_at"] - person["joined_at"]).total_seconds()
        for segment in rows_of(database, "FROM quality_by_segment"):
            assert segment["n"] > 0
            assert 0 <= segment["poor_share_low"] <= segment["poor_share"] <= segment["poor_share_high"] <= 1
        minutes = only(
            rows_of(database, "SELECT sum(active_seconds) AS active, max(active_seconds) AS most FROM track_minutes")
        )
        samples = only(rows_of(database, "SELECT sum(interval_seconds) AS active, count(*) AS n FROM track_samples"))
        active = only(rows_of(database, "SELECT sum(active_seconds) AS active FROM track_quality"))["active"]
        assert math.isclose(minutes["active"], samples["active"])
        assert math.isclose(samples["active"], active)
        assert minutes["most"] <= 60
        for metric in ("bitrate", "framerate", "resolution_width", "resolution_height"):
            outside = f"NOT {metric}_mean BETWEEN {metric}_min - 1e-6 AND {metric}_max + 1e-6"
            assert rows_of(database, f"FROM track_minutes WHERE {outside}") == []


def test_comments_are_rows_too(query: Query) -> None:
    """`column_comments` has the comment of every column of every table and view, as the catalog has."""
    catalog = query(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal ORDER BY ALL"
    )
    assert query("FROM column_comments ORDER BY ALL") == catalog
    assert all(row["comment"] for row in catalog)
