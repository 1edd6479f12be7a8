"""Several apps in one DuckLake: each as if it were alone, views over all of them, and turns on the lake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import ALL_APPS, LakeCatalog
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.schema import TABLES
from pipeline.serving import report
from pipeline.serving.dashboard import run_query
from pipeline.serving.mcp.ask import ask
from pipeline.serving.mcp.tables import list_tables
from pipeline.serving.query import print_result
from pipeline.settings import Settings
from pipeline.warehouse.all_apps import NAMES
from pipeline.warehouse.attach import attach
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.published import newest_day, open_published
from tests.support import DAY
from tests.support.apps import SALES, SUPPORT, contents, rows
from tests.support.flows import AFTERWARDS, traces
from tests.support.flows import DAY as FLOW_DAY
from tests.support.lakes import ManyDays, days_from, lake_of, query, unequal

pytestmark = pytest.mark.slow  # a lake of several apps in every state; cli/test_apps.py is the quick look

DAYS = days_from(DAY, 2)
APPS = (SUPPORT, SALES)

FETCHED = ("fetched_at", "newest_fetch_at", "raw_sha256")
"""Columns that differ when the same app is ingested twice: the time of requests, and a hash that depends on it."""

Open = Callable[..., DuckLake]

on_both_kinds = pytest.mark.parametrize(
    "lake_setting", ["file", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True
)
"""Runs a test with the catalog in a file and in PostgreSQL. The others run with a file, which is quicker."""


@pytest.fixture
def opened(tmp_path: Path, lake_setting: str) -> Iterator[Open]:
    """Return a function that opens the lake for an app, as a process of its own would."""
    lakes: list[DuckLake] = []

    def make(app: str | None, **given: Any) -> DuckLake:
        settings = settings_of(tmp_path, lake_setting, app)
        turns = choose_turns(settings.warehouse, settings.location, settings.work / "locks")
        lakes.append(DuckLake(lake_of(settings), turns=turns, **{"owner": lambda: f"{app}"} | given))
        return lakes[-1]

    yield make
    for lake in lakes:
        lake.close()


def settings_of(tmp_path: Path, lake_setting: str, app: str | None) -> Settings:
    return Settings(data=tmp_path / "data", warehouse_file=lake_setting, app=app)


@pytest.fixture
def catalog(tmp_path: Path, lake_setting: str) -> LakeCatalog:
    """Return the lake without an app."""
    return lake_of(settings_of(tmp_path, lake_setting, None))


def people(catalog: LakeCatalog, schema: str) -> dict[Any, int]:
    """Return how many people are stored, by day."""
    return dict(query(catalog, f"SELECT session_date, count(*) FROM {schema}.participant_sessions GROUP BY ALL"))


def files_of(catalog: LakeCatalog, app: str) -> dict[str, str]:
    """Return a hash of every file of an app in the lake, by path."""
    folder = Path(catalog.data_path)
    return {path: mark for path, mark in contents(folder).items() if path.startswith((f"{app}/", f"{app}_store/"))}


@on_both_kinds
def test_each_app_is_as_if_it_were_alone(
    app_flow: Callable[..., Flow], lake_setting: str, tmp_path: Path, catalog: LakeCatalog
) -> None:
    """Each table and view has the rows of an embedded database of that app alone, and `all_apps` has those of both."""
    for app in APPS:
        flow = app_flow(app, warehouse_file=lake_setting)
        flow.run(FLOW_DAY)
        alone = app_flow(app, app=None, data=tmp_path / f"alone-{app}")
        alone.run(FLOW_DAY)
        assert unequal(alone.settings.warehouse, flow.settings.warehouse, but=FETCHED) == []
        assert alone.day_quality(FLOW_DAY) == flow.day_quality(FLOW_DAY)
        assert newest_day(flow.settings.warehouse, FLOW_DAY) == (FLOW_DAY, True)
    with attach(catalog, read_only=True) as database:
        for name in NAMES:
            whole = database.execute(f"FROM all_apps.{name}").to_arrow_table()
            assert whole.column_names[0] == "app"
            parts = {app: database.execute(f"FROM {app}.{name} ORDER BY ALL").to_arrow_table() for app in APPS}
            assert whole.num_rows == sum(part.num_rows for part in parts.values())
            for app, part in parts.items():
                columns = f"SELECT * EXCLUDE (app) FROM all_apps.{name} WHERE app = '{app}' ORDER BY ALL"
                if name != "ingest_completeness":  # it has columns about the present instant
                    assert database.execute(columns).to_arrow_table().equals(part), (app, name)
        assert database.execute("SELECT count(DISTINCT app) FROM all_apps.metric_points").fetchone() == (2,)


def test_everything_that_asks_asks_about_its_app(
    app_flow: Callable[..., Flow], lake_setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Queries, assistants, reports and the dashboard; and a query can ask about all apps."""
    flows = {app: app_flow(app, warehouse_file=lake_setting) for app in APPS}
    for flow in flows.values():
        flow.run(FLOW_DAY)
    support = flows[SUPPORT].settings.warehouse
    made = report.make(support, "a-1", None, AFTERWARDS)
    assert b"user-1" in made.html
    assert made.problems == ()
    with pytest.raises(FixSettings):
        report.make(flows[SALES].settings.warehouse, "a-1", None, AFTERWARDS)
    assert ask(support, "SELECT count(*) FROM call_quality", 10, 60).rows == [[2]]
    assert ask(support, "SELECT DISTINCT app FROM all_apps.tracks ORDER BY app", 10, 60).rows == [
        ["sales"],
        ["support"],
    ]
    assert [table.name for table in list_tables(support, ["call_quality"]).tables] == ["call_quality"]
    with pytest.raises(FixSettings, match=r"there is no published table 'sales\.tracks'"):
        ask(support, "FROM sales.tracks", 10, 60)
    calls = run_query(support, "days", first=FLOW_DAY, last=FLOW_DAY)
    assert [day["calls"] for day in calls] == [2]
    capsys.readouterr()
    print_result(support, "SELECT count(*) AS n FROM call_quality", "csv")
    assert capsys.readouterr().out == "n\n2\n"
    print_result(support, "SELECT app, count(*) > 0 FROM all_apps.call_quality GROUP BY app ORDER BY app", "csv")
    assert capsys.readouterr().out.splitlines()[1:] == ["sales,True", "support,True"]
    for statement in (
        "DELETE FROM sales.windows",
        "DROP SCHEMA all_apps CASCADE",
        "CREATE VIEW all_apps.x AS SELECT 1",
    ):
        with pytest.raises(FixSettings, match="the query failed: "):
            print_result(support, statement, "csv")


@on_both_kinds
def test_erasure_in_one_app_leaves_the_others(
    app_flow: Callable[..., Flow], lake_setting: str, tmp_path: Path, catalog: LakeCatalog
) -> None:
    """Their rows and files stay bit for bit, also what they are writing; old snapshots of the lake are gone."""
    flows = {app: app_flow(app, warehouse_file=lake_setting) for app in APPS}
    for flow in flows.values():
        flow.run(FLOW_DAY)
    being_written = tmp_path / "data" / "lake" / SALES / "tracks" / f"session_date={FLOW_DAY}" / "x-1.parquet"
    being_written.write_bytes(b"not registered yet")
    own_leftover = tmp_path / "data" / "lake" / SUPPORT / "tracks" / "x-1.parquet"
    own_leftover.write_bytes(b"user-1 of a killed writer")
    files, data = files_of(catalog, SALES), contents(tmp_path / "data" / SALES)
    before = {name: rows(catalog, f"{SALES}.{name}") for name in TABLES}
    assert flows[SUPPORT].forget("user-1") == [FLOW_DAY]
    assert files_of(catalog, SALES) == files
    assert contents(tmp_path / "data" / SALES) == data
    assert {name: rows(catalog, f"{SALES}.{name}") for name in TABLES} == before
    assert len(query(catalog, "FROM ducklake_snapshots('lake')")) == 1
    for folder in (SUPPORT, f"lake/{SUPPORT}", f"lake/{SUPPORT}_store"):
        files_with = [found for found in traces(tmp_path / "data" / folder, "user-1") if "x-1" not in found]
        assert files_with == []
    assert not own_leftover.exists()
    assert query(catalog, f"SELECT DISTINCT user_id FROM {SUPPORT}.metric_points") == [("user-0",)]
    assert query(catalog, "SELECT count(*) FROM all_apps.participant_sessions WHERE app = 'support'") == [(2,)]


@on_both_kinds
def test_apps_publish_at_the_same_time(opened: Open, catalog: LakeCatalog) -> None:
    """Each replaces its days again and again; none fails, and nothing is lost, doubled or mixed."""
    names = ["a", "b", "c", None]
    ready = threading.Barrier(len(names))

    def replace(number: int) -> None:
        lake = opened(names[number])
        ready.wait()
        for turn in range(2):
            lake.load(ManyDays(DAYS, people=number + 1, mark=f"{turn}"), DAYS)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(replace, range(len(names))))
    for number, name in enumerate(names):
        assert people(catalog, name or "main") == dict.fromkeys(DAYS, number + 1)
    counted = query(catalog, "SELECT app, count(*) FROM all_apps.participant_sessions GROUP BY ALL ORDER BY ALL")
    assert counted == [("a", 2), ("b", 4), ("c", 6), ("main", 8)]


@on_both_kinds
def test_upgrade_of_one_app_leaves_the_others(
    opened: Open, catalog: LakeCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tables are made again in its own schemas, and `all_apps` has it as before."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    opened(None).load(ManyDays(DAYS, people=4), DAYS)
    files = {app: files_of(catalog, app) for app in (SALES, "main")}
    with attach(catalog, read_only=False) as database:
        database.execute("UPDATE support_store.meta SET value = '1' WHERE name = 'version'")
        database.execute("DROP VIEW support.call_quality; ALTER TABLE support.tracks ADD COLUMN old BIGINT")
    opened(SUPPORT).load(ManyDays(DAYS, people=3), [])
    assert "was written by an earlier version of Call Metrics; rebuilding it" in caplog.text
    assert {app: files_of(catalog, app) for app in (SALES, "main")} == files
    assert [people(catalog, schema)[DAYS[0]] for schema in ("main", *APPS)] == [4, 3, 2]
    assert query(catalog, "SELECT DISTINCT app FROM all_apps.call_quality ORDER BY ALL") == [
        ("main",),
        ("sales",),
        ("support",),
    ]


def test_app_of_an_earlier_version_is_left_out_of_what_it_lacks(opened: Open, catalog: LakeCatalog) -> None:
    """The other views have it, and no column is missing because of it."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    with attach(catalog, read_only=False) as database:
        database.execute("DROP VIEW sales.quality_by_segment; DROP VIEW sales.participant_quality")
        database.execute("ALTER TABLE sales.windows DROP COLUMN timestamp_unit")
    opened("third").load(ManyDays(DAYS), DAYS)
    apps = "SELECT list(DISTINCT app ORDER BY app) FROM all_apps."
    assert query(catalog, f"{apps}participant_quality") == [(["support", "third"],)]
    assert query(catalog, f"{apps}call_sessions") == [(["sales", "support", "third"],)]
    described = {row[0] for row in query(catalog, "DESCRIBE all_apps.windows")}
    assert "timestamp_unit" in described


def test_one_app_without_a_name_has_no_views_over_all(opened: Open, catalog: LakeCatalog) -> None:
    """They appear with the first app that has a name, and have the one without as `main`."""
    opened(None).load(ManyDays(DAYS), DAYS)
    schemas = "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE database_name = 'lake' ORDER BY ALL"
    assert query(catalog, schemas) == [("main",), ("store",)]
    opened(SUPPORT).load(ManyDays(DAYS, people=3), DAYS)
    counted = "SELECT app, count(*) FROM all_apps.participant_sessions GROUP BY app ORDER BY app"
    assert query(catalog, counted) == [("main", 4), ("support", 6)]


def test_views_over_all_apps_are_made_only_when_something_changes(opened: Open, catalog: LakeCatalog) -> None:
    """A load of a day leaves them alone, and so does an app that is prepared as it was."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    mark = f"FROM ducklake_list_files('lake', 'meta', schema => '{ALL_APPS.internal}')"
    before = query(catalog, mark)
    opened(SUPPORT).load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    with attach(catalog, read_only=False) as database:
        database.execute("UPDATE support_store.meta SET value = 'another' WHERE name = 'definitions'")
    assert opened(SUPPORT).load(ManyDays(DAYS, people=3, mark="b"), DAYS).published
    assert query(catalog, mark) == before


def test_views_over_all_apps_have_comments(opened: Open, catalog: LakeCatalog) -> None:
    """Of each view, and of each column in the schema's own `column_comments`."""
    opened(SUPPORT).load(ManyDays(DAYS), DAYS)
    columns = (
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = 'all_apps' AND NOT internal"
    )
    comments = "SELECT table_name, column_name FROM all_apps.column_comments WHERE comment <> ''"
    assert query(catalog, f"{columns} EXCEPT {comments}") == query(catalog, f"{comments} EXCEPT {columns}") == []
    views = "SELECT count(*), count(comment) FROM duckdb_views() WHERE schema_name = 'all_apps'"
    assert query(catalog, views) == [(len(NAMES), len(NAMES))]
    own = query(catalog, "SELECT count(*) > 100 FROM support.column_comments")
    assert own == [(True,)]


def test_apps_are_read_under_another_name_of_the_lake(opened: Open, catalog: LakeCatalog) -> None:
    """BI tools attach it under a name of their own, with any schema in use, also one that has the same tables."""
    for number, app in enumerate((None, *APPS), start=1):
        opened(app).load(ManyDays(DAYS, people=number), DAYS)
    with attach(catalog, read_only=True) as database:
        database.execute("USE memory; DETACH lake")
        database.execute(f"ATTACH '{catalog}' AS calls (READ_ONLY)")
        for used in ("memory", "calls", "calls.sales", "calls.all_apps"):
            database.execute(f"USE {used}")
            for view in ("track_quality", "call_quality", "participant_quality", "metric_points"):
                counts = [
                    database.execute(f"SELECT count(DISTINCT {column}) FROM calls.{schema}.{view}").fetchone()
                    for schema, column in (("main", "session_date"), ("support", "session_date"), ("all_apps", "app"))
                ]
                assert counts == [(2,), (2,), (3,)], (used, view)
            kept = "SELECT count(*) FROM calls.support.track_quality"
            assert database.execute(kept).fetchone() == (4,)


def test_filter_on_app_and_date_reads_only_those_files(opened: Open, catalog: LakeCatalog) -> None:
    """Also through the views over all apps."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    for app in APPS:
        for path in Path(catalog.data_path).glob(f"{app}*/*/session_date=*/*.parquet"):
            if (app == SALES or f"{DAYS[1]}" in str(path)) and "/tracks/" not in str(path):
                path.unlink()
    for view in ("metric_points", "track_samples", "call_quality"):
        counted = f"SELECT count(*) > 0 FROM all_apps.{view} WHERE app = 'support' AND session_date = DATE '{DAYS[0]}'"
        assert query(catalog, counted) == [(True,)], view


def test_names_that_are_words_of_sql_work(opened: Open, catalog: LakeCatalog) -> None:
    """An app can be called `order`."""
    opened("order").load(ManyDays(DAYS), DAYS)
    opened("order").load(ManyDays(DAYS, people=3, mark="b"), DAYS, from_scratch=True)
    assert people(catalog, '"order"') == dict.fromkeys(DAYS, 3)
    assert query(catalog, "SELECT count(*) FROM all_apps.participant_sessions WHERE app = 'order'") == [(6,)]


def test_cleaning_is_of_the_whole_lake(opened: Open, catalog: LakeCatalog) -> None:
    """One app's cleaning removes what another one replaced, and nothing that is in use."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    opened(SALES).load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    before = len(files_of(catalog, SALES))
    assert opened(SUPPORT).clean(timedelta(0), grace=timedelta(seconds=-5)).snapshots > 0
    opened(SUPPORT).clean(timedelta(0), grace=timedelta(seconds=-5))
    assert len(files_of(catalog, SALES)) < before
    assert [people(catalog, app) for app in APPS] == [dict.fromkeys(DAYS, 2), dict.fromkeys(DAYS, 3)]


@on_both_kinds
def test_app_of_another_folder_is_refused(opened: Open, catalog: LakeCatalog) -> None:
    """Two deployments cannot have the same app in one lake; nothing of it changes."""
    opened(SUPPORT).load(ManyDays(DAYS), DAYS)
    with pytest.raises(FixStorage, match=r"was published from another data folder .*CALL_METRICS_APP to another name"):
        opened(SUPPORT, owner=lambda: "another").load(ManyDays(DAYS, mark="b"), DAYS)
    assert people(catalog, SUPPORT) == dict.fromkeys(DAYS, 2)


def test_apps_of_a_lake_share_its_folder(opened: Open, tmp_path: Path, lake_setting: str) -> None:
    """Another app with its data elsewhere would not find the files of the first one."""
    opened(SUPPORT).load(ManyDays(DAYS), DAYS)
    elsewhere = Settings(data=tmp_path / "elsewhere", warehouse_file=lake_setting, app=SALES)
    (tmp_path / "elsewhere" / "lake").mkdir(parents=True)
    turns = choose_turns(elsewhere.warehouse, elsewhere.location, elsewhere.work / "locks")
    other = DuckLake(lake_of(elsewhere), turns=turns)
    with pytest.raises(FixStorage, match=r"has its files in another folder than .*; set CALL_METRICS_DATA to the"):
        other.load(ManyDays(DAYS), DAYS)
    other.close()


def test_app_can_get_another_name(opened: Open, catalog: LakeCatalog) -> None:
    """Once its old schemas are dropped, the views over all apps have it under the new name alone."""
    for app in APPS:
        opened(app).load(ManyDays(DAYS), DAYS)
    with attach(catalog, read_only=False) as database:
        database.execute("DROP SCHEMA support CASCADE; DROP SCHEMA support_store CASCADE")
    opened("help", owner=lambda: SUPPORT).load(ManyDays(DAYS, people=3), DAYS)
    counted = "SELECT app, count(*) FROM all_apps.participant_sessions GROUP BY app ORDER BY app"
    assert query(catalog, counted) == [("help", 6), ("sales", 4)]


def test_schema_of_another_program_is_left_alone(opened: Open, catalog: LakeCatalog) -> None:
    """One sentence says to choose another name."""
    opened(SUPPORT).load(ManyDays(DAYS), DAYS)
    with attach(catalog, read_only=False) as database:
        database.execute("CREATE SCHEMA reports; CREATE TABLE reports.mine AS SELECT 1 AS n")
    with pytest.raises(FixStorage, match="has a schema reports that is not of Call Metrics; set CALL_METRICS_APP to"):
        opened("reports").load(ManyDays(DAYS), DAYS)
    assert query(catalog, "FROM reports.mine") == [(1,)]


def test_app_that_is_not_in_the_lake_yet_is_one_sentence(opened: Open, tmp_path: Path, lake_setting: str) -> None:
    """It does not show the tables of another app."""
    opened(SUPPORT).load(ManyDays(DAYS), DAYS)
    opened(None).load(ManyDays(DAYS), DAYS)
    with pytest.raises(FixStorage, match="with tables of sales does not exist yet; `call-metrics backfill`"):
        open_published(settings_of(tmp_path, lake_setting, SALES).warehouse)


def test_apps_without_a_lake_have_databases_of_their_own(app_flow: Callable[..., Flow], tmp_path: Path) -> None:
    """Below one data root, each as if it were alone."""
    for app in APPS:
        flow = app_flow(app)
        flow.run(FLOW_DAY)
        assert flow.settings.warehouse == tmp_path / "data" / app / "warehouse.duckdb"
        alone = app_flow(app, app=None, data=tmp_path / f"alone-{app}")
        alone.run(FLOW_DAY)
        assert unequal(alone.settings.warehouse, flow.settings.warehouse, but=FETCHED) == []
    assert {path.name for path in (tmp_path / "data").iterdir()} == set(APPS)
