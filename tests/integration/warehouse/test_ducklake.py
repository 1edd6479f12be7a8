"""A DuckLake as the warehouse: the same tables and views as the embedded database, published by registering files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.catalog import Schemas
from pipeline.cli.metrics import collect
from pipeline.emulator import Emulator, ManualClock, demo_world, odd_world
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.serving import report
from pipeline.serving.dashboard import run_query
from pipeline.serving.query import print_result
from pipeline.settings import Settings
from pipeline.warehouse.attach import attach
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.lake_files import split_path
from pipeline.warehouse.lake_tables import by_day
from pipeline.warehouse.load import Warehouse
from pipeline.warehouse.published import newest_day, open_published
from tests.support import DAY
from tests.support.flows import AFTERWARDS, WORLD, traces
from tests.support.flows import DAY as FLOW_DAY
from tests.support.lakes import ManyDays, days_from, files, lake_of, query, unequal

DAYS = days_from(DAY, 3)

OUT_OF_REACH = (
    "SELECT * FROM read_text('/etc/passwd')",
    "FROM read_parquet('/tmp/*.parquet')",
    "FROM '/etc/passwd'",
    "FROM glob('/etc/*')",
    "COPY (SELECT 1) TO '{lake}x.csv'",
    "INSERT INTO windows (call_id) VALUES ('x')",
    "DELETE FROM windows",
    "ATTACH '/tmp/x.duckdb'",
    "FROM postgres_scan('host=127.0.0.1', 'public', 'x')",
    "FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')",
    "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "SELECT 1; SELECT 2",
    "SET enable_external_access = true",
)
"""What a query on a lake must not do."""


@pytest.fixture
def settings(tmp_path: Path, lake_setting: str) -> Settings:
    """Return settings with a lake of the test's own."""
    return Settings(data=tmp_path / "data", warehouse_file=lake_setting)


@pytest.fixture
def new_lake(settings: Settings) -> Iterator[Callable[[], DuckLake]]:
    """Return a function that opens the lake again, as another process would."""
    opened: list[DuckLake] = []

    def make() -> DuckLake:
        catalog = lake_of(settings)
        turns = choose_turns(catalog, settings.data, settings.work / "locks")
        opened.append(DuckLake(catalog, turns=turns))
        return opened[-1]

    yield make
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(new_lake: Callable[[], DuckLake]) -> DuckLake:
    """Return a lake that does not exist yet."""
    return new_lake()


def rows_of_day(settings: Settings, table: str = "participant_sessions") -> dict[Any, int]:
    """Return how many rows a table has by day."""
    return dict(query(lake_of(settings), f"SELECT session_date, count(*) FROM {table} GROUP BY ALL"))


def registered(settings: Settings) -> set[Path]:
    """Return the files that the lake has now."""
    tables = [*by_day(Schemas()), ("main", "quality_thresholds"), ("main", "column_comments"), ("store", "meta")]
    every = " UNION ALL ".join(
        f"SELECT data_file FROM ducklake_list_files('lake', '{table}', schema => '{schema}')"
        for schema, table in tables
    )
    return {Path(row[0]) for row in query(lake_of(settings), every)}


@pytest.mark.parametrize("world", [pytest.param("demo", marks=pytest.mark.slow), "odd"])
def test_lake_has_the_rows_of_the_embedded_database(
    world: str, flow_for: Callable[..., Flow], lake_setting: str
) -> None:
    """All tables and views are the same, row by row, with the same columns and types."""
    made = demo_world(FLOW_DAY, days=0) if world == "demo" else odd_world(FLOW_DAY)
    with Emulator(made, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(FLOW_DAY)
        other = flow_for(emulator, warehouse_file=lake_setting)
        counts = {(table, FLOW_DAY): count for table, count in flow.row_counts(FLOW_DAY).items()}
        assert other.load([FLOW_DAY]).rows == counts
    assert unequal(flow.settings.warehouse, other.settings.warehouse) == []
    assert flow.day_quality(FLOW_DAY) == other.day_quality(FLOW_DAY)


def test_second_load_changes_nothing(lake: DuckLake, settings: Settings) -> None:
    """The same fingerprints are not loaded again, and a day that is loaded again is not doubled."""
    source = ManyDays(DAYS)
    assert lake.load(source, DAYS).published
    before = files(lake_of(settings))
    again = lake.load(source, DAYS)
    assert (again.rows, again.published, lake.is_due) == ({}, False, False)
    assert files(lake_of(settings)) == before
    lake.load(source, DAYS[:1], rebuild=True)
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 2)


@pytest.mark.slow
def test_files_are_never_used_twice(lake: DuckLake, settings: Settings) -> None:
    """A day that becomes what it was before gets new files, so that removing old ones never removes one in use."""
    for mark, people in (("a", 2), ("b", 3), ("a", 2)):
        lake.load(ManyDays(DAYS, people=people, mark=mark), DAYS)
    in_use = registered(settings)
    assert len(set(files(lake_of(settings)))) > len(in_use)
    lake.remove_everything_old()
    assert set(files(lake_of(settings))) == in_use
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 2)


@pytest.mark.slow
def test_cleaning_keeps_what_is_new_and_what_is_in_use(lake: DuckLake, settings: Settings) -> None:
    """Snapshots go after the days that are set, and their files a day later, for queries that still read them."""
    lake.load(ManyDays(DAYS), DAYS)
    lake.load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    (Path(lake_of(settings).data_path) / "main" / "tracks" / "orphan.parquet").write_bytes(b"of a killed writer")
    before = files(lake_of(settings))
    cleaned = lake.clean(timedelta(days=7))
    assert (cleaned.snapshots, cleaned.files) == (0, 0)
    assert lake.clean(timedelta(0)).snapshots > 0
    assert files(lake_of(settings)) == before
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 3)
    lake.clean(timedelta(0), grace=timedelta(seconds=-5))
    assert set(files(lake_of(settings))) == registered(settings)
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 3)
    lake.clean(timedelta(0), grace=timedelta(0))


@pytest.mark.slow
def test_reader_sees_one_state_while_others_publish(lake: DuckLake, settings: Settings) -> None:
    """A transaction that has begun reads what was there, and the next one what is there now."""
    lake.load(ManyDays(DAYS), DAYS)
    with open_published(settings.warehouse) as database:
        database.execute("BEGIN")
        counted = "SELECT count(*) FROM participant_sessions"
        assert database.execute(counted).fetchone() == (6,)
        lake.load(ManyDays(DAYS, people=3, mark="b"), DAYS)
        lake.clean(timedelta(0))
        assert database.execute(counted).fetchone() == (6,)
    with open_published(settings.warehouse) as database:
        assert database.execute(counted).fetchone() == (9,)


@pytest.mark.slow
def test_different_days_are_replaced_at_once_without_conflict(
    new_lake: Callable[[], DuckLake], settings: Settings
) -> None:
    """Each of four writers replaces days of its own, again and again; none fails, and nothing is lost or doubled."""
    days = days_from(DAY, 4)
    new_lake().load(ManyDays(days), days)

    def replace(number: int) -> None:
        lake = new_lake()
        for turn in range(2):
            lake.load(ManyDays(days, people=number + 1, mark=f"{number} {turn}"), [days[number]])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replace, range(4)))
    assert rows_of_day(settings) == {day: number + 1 for number, day in enumerate(days)}


def test_same_day_is_loaded_at_once_by_two(new_lake: Callable[[], DuckLake], settings: Settings) -> None:
    """The second one finds nothing left to do, and its files are removed."""
    new_lake().load(ManyDays([]), [])
    with ThreadPoolExecutor(2) as pool:
        loaded = list(pool.map(lambda _: new_lake().load(ManyDays(DAYS), DAYS[:1]), range(2)))
    assert rows_of_day(settings) == {DAYS[0]: 2}
    assert {path for path in files(lake_of(settings)) if path.suffix == ".parquet"} == registered(settings)
    assert any(one.rows for one in loaded)


def test_day_comes_from_the_rows_and_the_folder(lake: DuckLake, settings: Settings) -> None:
    """DuckLake believes the folder. So rows of another day are refused, and a file lies in the folder of its rows."""
    source = ManyDays(DAYS)
    lake.load(source, DAYS)
    for path in registered(settings):
        schema, table, day, content = split_path(str(path))
        if day is not None:
            assert set(pq.read_table(path, partitioning=None).column("session_date").to_pylist()) == {day}
            assert path.name.startswith(f"{content}-")
            assert (schema, table) in by_day(Schemas())
    source.read = lambda table, day: ManyDays(DAYS).read(table, DAYS[0])  # type: ignore[method-assign]
    source.mark = "b"
    with pytest.raises(FixStorage, match=f"of {DAYS[1]} has rows of {DAYS[0]}; `call-metrics rebuild`"):
        lake.load(source, DAYS[1:])
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 2)


def test_nothing_is_a_row_in_the_catalog(lake: DuckLake, settings: Settings) -> None:
    """Small tables are files like all others: what `forget` removes is in one place."""
    lake.load(ManyDays(DAYS), DAYS)
    with attach(lake_of(settings), read_only=True) as database:
        inlined = "SELECT count(*) FROM __ducklake_metadata_lake.ducklake_inlined_data_tables"
        assert database.execute(inlined).fetchone() == (0,)
        people = database.execute(
            "SELECT count(*) FROM __ducklake_metadata_lake.ducklake_file_column_stats WHERE min_value LIKE 'user-%'"
        ).fetchone()
        assert people == (0,)


def test_comments_are_in_the_lake(lake: DuckLake, settings: Settings) -> None:
    """Tables and their columns have them in the catalog; the columns of views have them in `column_comments`."""
    lake.load(ManyDays(DAYS), DAYS)
    missing = query(
        lake_of(settings),
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = 'main' AND NOT internal "
        "EXCEPT SELECT table_name, column_name FROM column_comments WHERE comment <> ''",
    )
    assert missing == []
    assert query(
        lake_of(settings),
        "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'main' AND comment IS NULL AND database_name = 'lake'",
    ) == [(0,)]


def test_lake_is_read_under_another_name(lake: DuckLake, settings: Settings) -> None:
    """BI tools attach it under a name of their own, and views find their tables."""
    lake.load(ManyDays(DAYS), DAYS)
    with attach(lake_of(settings), read_only=True) as database:
        database.execute("USE memory; DETACH lake")
        database.execute(f"ATTACH '{settings.warehouse}' AS calls (READ_ONLY)")
        for view in ("track_quality", "call_quality", "metric_points", "track_minutes"):
            assert database.execute(f"SELECT count(*) > 0 FROM calls.{view}").fetchone() == (True,)


@pytest.mark.slow
def test_filter_on_a_date_reads_only_the_files_of_that_day(lake: DuckLake, settings: Settings) -> None:
    """In every view of points, and in those of quality."""
    lake.load(ManyDays(DAYS), DAYS)
    for path in registered(settings):
        _, table, day, _ = split_path(str(path))
        if day in DAYS[1:] and table != "tracks":  # which kinds of tracks there are is asked of all days
            path.unlink()
    for view in ("metric_points", "track_samples", "track_minutes", "participant_quality", "call_quality"):
        counted = f"SELECT count(*) > 0 FROM {view} WHERE session_date = DATE '{DAYS[0]}'"
        assert query(lake_of(settings), counted) == [(True,)], view


def test_erased_person_is_gone_from_files_snapshots_and_catalog(
    flow_for: Callable[..., Flow], lake_setting: str, tmp_path: Path
) -> None:
    """At once, and only the files of the day concerned were written again."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=lake_setting)
        flow.run(FLOW_DAY)
        assert traces(tmp_path, "user-1")
        assert flow.forget("user-1") == [FLOW_DAY]
        assert traces(tmp_path, "user-1") == []
        assert query(lake_of(flow.settings), "SELECT DISTINCT user_id FROM metric_points") == [("user-0",)]
        assert len(query(lake_of(flow.settings), "FROM ducklake_snapshots('lake')")) == 1
        before = files(lake_of(flow.settings))
        assert flow.forget("nobody-we-know") == []
        assert files(lake_of(flow.settings)) == before


@pytest.mark.slow
def test_rebuild_gives_the_same_rows(flow_for: Callable[..., Flow], lake_setting: str) -> None:
    """Without the source."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=lake_setting)
        flow.run(FLOW_DAY)
    before = query(lake_of(flow.settings), "FROM metric_points ORDER BY ALL")
    flow.rebuild([FLOW_DAY])
    assert query(lake_of(flow.settings), "FROM metric_points ORDER BY ALL") == before


@pytest.mark.slow
def test_reports_and_dashboard_read_the_lake(flow_for: Callable[..., Flow], lake_setting: str) -> None:
    """They read it as they read a file, and so do the metrics."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=lake_setting)
        flow.run(FLOW_DAY)
        made = report.make(flow.settings.warehouse, "a-1", None, AFTERWARDS)
    assert b"user-1" in made.html
    assert made.problems == ()
    assert len(run_query(flow.settings.warehouse, "days", first=FLOW_DAY, last=FLOW_DAY)) == 1
    assert newest_day(flow.settings.warehouse, FLOW_DAY) == (FLOW_DAY, True)
    gauges, is_complete = collect(flow, [FLOW_DAY], AFTERWARDS)
    found = {gauge.name: gauge.samples for gauge in gauges}
    assert is_complete
    assert set(found["part_readable"].values()) == {1}
    assert abs((found["published_timestamp_seconds"][""] - datetime.now(UTC)).total_seconds()) < 600
    assert found["lake_bytes"][""] > found["table_bytes"]["windows"] > 0
    assert "database_bytes" not in found


@pytest.mark.slow
def test_queries_reach_nothing_but_the_lake(
    lake: DuckLake, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence refuses what would read other files, write, or connect to another server."""
    lake.load(ManyDays(DAYS), DAYS[:1])
    print_result(settings.warehouse, "SELECT count(*) AS n FROM windows", "csv")
    assert capsys.readouterr().out == "n\n0\n"
    before = files(lake_of(settings))
    for statement in OUT_OF_REACH:
        with pytest.raises(FixSettings, match="the query failed: ") as caught:
            print_result(settings.warehouse, statement.format(lake=lake_of(settings).data_path), "csv")
        assert "\n" not in str(caught.value)
        assert capsys.readouterr().out == ""
    assert files(lake_of(settings)) == before


def test_missing_lake_is_one_sentence(settings: Settings) -> None:
    """It says how a lake comes about."""
    with pytest.raises(FixStorage, match="does not exist yet; `call-metrics backfill`"):
        open_published(settings.warehouse)


def test_lake_of_another_folder_or_program_is_left_alone(lake: DuckLake, settings: Settings, tmp_path: Path) -> None:
    """Nothing of it changes."""
    lake.load(ManyDays(DAYS), DAYS)
    catalog = lake_of(settings)
    turns = choose_turns(catalog, settings.data, settings.work / "locks")
    other = DuckLake(catalog, turns=turns, owner=lambda: "another")
    with pytest.raises(FixStorage, match="was published from another data folder"):
        other.load(ManyDays(DAYS, mark="b"), DAYS)
    other.close()
    with attach(catalog, read_only=False) as database:
        database.execute("DROP TABLE store.meta")
    with pytest.raises(FixStorage, match="is not a lake of Call Metrics"):
        lake.load(ManyDays(DAYS, mark="b"), DAYS)


@pytest.mark.slow
def test_lake_of_an_earlier_version_is_rebuilt(
    lake: DuckLake, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """All days of the source are loaded again."""
    lake.load(ManyDays(DAYS), DAYS)
    with attach(lake_of(settings), read_only=False) as database:
        database.execute("UPDATE store.meta SET value = '1' WHERE name = 'version'")
    lake.load(ManyDays(DAYS), [])
    assert "was written by an earlier version of Call Metrics; rebuilding it" in caplog.text
    assert rows_of_day(settings) == dict.fromkeys(DAYS, 2)


@pytest.mark.slow
def test_lake_of_a_later_version_is_refused(lake: DuckLake, settings: Settings) -> None:
    """One sentence says to upgrade."""
    lake.load(ManyDays(DAYS), DAYS)
    with attach(lake_of(settings), read_only=False) as database:
        database.execute("UPDATE store.meta SET value = '99' WHERE name = 'version'")
    with pytest.raises(FixStorage, match="later version of Call Metrics; upgrade"):
        lake.load(ManyDays(DAYS, mark="b"), DAYS)


@pytest.mark.slow
def test_catalog_of_a_later_ducklake_is_refused(lake: DuckLake, settings: Settings) -> None:
    """Nobody migrates it behind the back of its other users."""
    lake.load(ManyDays(DAYS), DAYS)
    with attach(lake_of(settings), read_only=False) as database:
        database.execute("UPDATE __ducklake_metadata_lake.ducklake_metadata SET value = '9.9' WHERE key = 'version'")
    lake.close()
    with pytest.raises(FixStorage, match="was written by another version of DuckLake") as caught:
        lake.load(ManyDays(DAYS, mark="b"), DAYS)
    assert "\n" not in str(caught.value)


def test_moved_data_folder_is_read_where_it_is(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """With the catalog in a file, both can be moved together."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=f"ducklake:{tmp_path / 'data' / 'c.ducklake'}")
        flow.run(FLOW_DAY)
        shutil.move(tmp_path / "data", tmp_path / "moved")
        moved = flow_for(
            emulator, data=tmp_path / "moved", warehouse_file=f"ducklake:{tmp_path / 'moved' / 'c.ducklake'}"
        )
        assert query(lake_of(moved.settings), "SELECT count(*) > 0 FROM metric_points") == [(True,)]
        assert moved.load([FLOW_DAY], rebuild=True).published
        assert not (tmp_path / "data").exists()


def test_embedded_database_needs_no_extension(tmp_path: Path) -> None:
    """Nothing of the extra `scale` is loaded for it."""
    Warehouse(tmp_path / "published.duckdb", tmp_path / "w" / "writer.duckdb").load(ManyDays(DAYS), DAYS)
    program = (
        "import sys; from pathlib import Path; from pipeline.warehouse.published import open_published; "
        "open_published(Path(sys.argv[1])); print({'psycopg2', 'duckdb_extension_ducklake'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, tmp_path / "published.duckdb"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
