"""The pipeline as Dagster sees and runs it, on real instances."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pyarrow.parquet as pq
import pytest

from pipeline.emulator import (
    KEY,
    SECRET,
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    World,
    demo_world,
    odd_world,
    uniform_world,
)
from pipeline.endpoints import ENDPOINT_NAMES
from pipeline.errors import FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.checks import completeness_results
from pipeline.orchestration.day_quality import _metadata, quality_metadata
from pipeline.orchestration.definitions import build_definitions, defs
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.run_locks import alive, end_dead_runs, end_if_dead
from pipeline.orchestration.runner import _own_error, open_instance
from pipeline.orchestration.schedules import OLDER_DAYS
from pipeline.quality.day import DayQuality
from pipeline.schema import TABLES
from pipeline.settings import Settings
from pipeline.warehouse.published import open_published
from tests.support.flows import assert_published, run

DAY = date(2026, 3, 1)
WORLD = uniform_world(DAY, calls=2, people=2, minutes=40, step_seconds=60)
AFTERWARDS = datetime(2026, 3, 3, 12, tzinfo=UTC)


CALL_ROW = {"call_type": "t", "call_id": "c", "publishers": 1, "poor": 1, "good": 0, "framerate_p5": None}

HOLDER = """
import sys, time
from pathlib import Path
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def a_call(start: datetime, *, minutes: int) -> CallSpec:
    """A call of one person who talks to its end."""
    end = start + timedelta(minutes=minutes)
    talk = Points.every(60, start, bitrate=tuple(range(minutes)))
    mic = TrackSpec("mic", "audio", "opus", talk)
    stay = StaySpec(user_id="ann", user_session_id=f"{start:%j}", joined_at=start, left_at=end, tracks=(mic,))
    return CallSpec("default", f"{start:%j}", "s", started_at=start, ended_at=end, participants=(stay,))


def asked_at(cursor: str | None) -> datetime:
    return datetime.fromisoformat(json.loads(cursor or "")["asked_at"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Emulator], Settings]:
    """Settings in the environment, where Dagster's processes read them."""

    def configure(emulator: Emulator) -> Settings:
        monkeypatch.setenv("STREAM_API_KEY", KEY)
        monkeypatch.setenv("STREAM_API_SECRET", SECRET)
        monkeypatch.setenv("STREAM_BASE_URL", emulator.url)
        monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path / "data"))
        monkeypatch.chdir(tmp_path)
        return Settings.load()

    return configure


def test_the_assets_are_the_stages_and_tables_by_name() -> None:
    """Raw answers by endpoint, then each table in the lake and in the warehouse, all partitioned by the same days."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    keys = {"/".join(key.path) for key in graph.materializable_asset_keys}
    raw = {f"raw/{endpoint}" for endpoint in ENDPOINT_NAMES}
    assert keys == raw | {f"{layer}/{table}" for layer in ("lake", "warehouse") for table in TABLES}
    partitions = {graph.get(key).partitions_def for key in graph.materializable_asset_keys}
    (days,) = partitions
    assert days.get_first_partition_key() == "2026-01-01"
    assert days.get_last_partition_key() == datetime.now(UTC).date().isoformat()
    assert graph.get(dg.AssetKey(["warehouse", "tracks"])).parent_keys == {dg.AssetKey(["lake", "tracks"])}


def test_a_day_runs_and_says_what_it_did(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """The job fills the database; materializations carry row counts, paths, requests and the states of windows."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=f"{DAY}", instance=instance).success
        with Flow(settings) as flow:
            assert_published(flow, emulator.expected_rows())

    def metadata(*path: str) -> dict[str, Any]:
        event = instance.get_latest_materialization_event(dg.AssetKey(list(path)))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == f"{DAY}"
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    assert metadata("raw", "participant_metrics")["requests"] == 8
    assert metadata("lake", "windows")["windows_landed"] == 8
    points = len(emulator.expected_rows()["metric_points"])
    assert metadata("lake", "metric_points")["dagster/partition_row_count"] == points
    assert metadata("warehouse", "metric_points")["dagster/partition_row_count"] == points
    assert metadata("warehouse", "metric_points")["path"].endswith("warehouse.duckdb")


def test_tables_carry_the_descriptions_of_their_columns() -> None:
    """The column schema in Dagster is that of the contract, comments included."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    for table in TABLES.values():
        for layer in ("lake", "warehouse"):
            schema = graph.get(dg.AssetKey([layer, table.name])).metadata["dagster/column_schema"]
            assert {column.name: column.description for column in schema.columns} == {
                name: table.comment_of(name) for name in table.schema.names
            }


def test_checks_say_in_sentences_what_is_missing(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A window without an answer fails the check of its day, not the run; the check names the day's edge."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        configured(emulator)
        job = defs().resolve_job_def("ingest")

        def evaluations() -> dict[str, Any]:
            result = job.execute_in_process(partition_key=f"{DAY}", instance=instance)
            assert result.success
            return {found.check_name: found for found in result.get_asset_check_evaluations()}

        first = evaluations()
        assert not first["every_window_has_landed"].passed
        assert first["every_window_has_landed"].description == (
            "2026-03-01: 1 window of 1 stay has no final response; the source forgot the first of it on 2026-05-30"
        )
        assert first["everyone_promised_is_held"].passed
        assert not first["nothing_is_about_to_be_forgotten"].passed
        assert {name: (found.passed, found.description) for name, found in evaluations().items()} == {
            "every_window_has_landed": (True, "2026-03-01: nothing is missing of 8 windows"),
            "everyone_promised_is_held": (True, "2026-03-01: 4 stays in 2 calls are held, 4 were promised"),
            "nothing_is_about_to_be_forgotten": (True, "2026-03-01: nothing is missing"),
        }


@pytest.mark.parametrize(
    ("now", "passed", "said"),
    [
        (datetime(2026, 3, 9, tzinfo=UTC), True, "2026-03-01: what is missing can be asked for until 2026-05-30"),
        (datetime(2026, 5, 25, tzinfo=UTC), False, "; the source forgets the first of it on 2026-05-30, in 5 days"),
        (datetime(2026, 6, 2, tzinfo=UTC), False, "; the source forgot the first of it on 2026-05-30"),
    ],
)
def test_what_is_missing_is_urgent_before_the_source_forgets_it(
    now: datetime, passed: bool, said: str, flow_for: Callable[..., Flow]
) -> None:
    """The check on the edge passes while there is time, then says how much is left, then that it is over."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        *_, edge = completeness_results(flow.completeness(DAY), now)
    assert edge.passed == passed
    assert edge.description is not None
    assert edge.description.endswith(said)


def test_a_day_says_how_good_its_calls_were(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """Numbers to plot, the same as in the views, the worst calls by name, and a picture, in little space."""
    world = demo_world(DAY, days=1)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=f"{DAY}", instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["warehouse", "call_sessions"]))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    with open_published(settings.warehouse) as database:
        sums = "sum(publishers), sum(good_publishers), sum(poor_publishers), sum(unclassified_publishers)"
        viewed = database.execute(f"SELECT {sums} FROM call_quality").fetchone()
        worst = database.execute(
            "SELECT call_id FROM call_quality ORDER BY poor_publishers DESC, quality_score LIMIT 1"
        ).fetchone()
        rates = "SELECT min(framerate_p5) FROM track_quality WHERE track_kind = 'camera'"
        assert database.execute(rates).fetchone() <= (shown["framerate_p5_of_worst_hour"] + 1,)
    names = ("publishers", "publishers_good", "publishers_poor", "publishers_unclassified")
    assert tuple(shown[name] for name in names) == viewed
    assert shown["publishers_poor"] > 0
    assert shown["publishers_poor_share"] == shown["publishers_poor"] / (
        shown["publishers_poor"] + shown["publishers_good"]
    )
    assert f"{shown['publishers']} publishers in " in shown["quality"]
    assert worst is not None
    assert worst[0].replace("-", "\\-") in shown["quality"]
    assert len(shown["quality"]) < 1000, "longer, and Dagster hides it behind a link"
    picture = base64.b64decode(re.search(r"base64,([^)]+)\)", shown["quality_picture"])[1])
    shapes = ElementTree.fromstring(picture)
    assert {shape.tag.rpartition("}")[2] for shape in shapes} == {"rect", "text"}
    assert f"{shown['publishers_poor']} poor" in [shape.text for shape in shapes]


def test_the_quality_of_a_day_is_there_before_it_is_published(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """In a backfill of many days, which publishes seldom, every day has its own numbers."""
    days = [DAY, DAY + timedelta(days=1)]
    with Emulator(
        uniform_world(days[0], calls=1) + uniform_world(days[1], calls=2), clock=ManualClock(AFTERWARDS)
    ) as emulator:
        flow = flow_for(emulator)
        with flow.warehouse.publishing_seldom(3600):
            for day in days:
                run(flow, day)
                shown = quality_metadata(flow, day, logging.getLogger("pipeline"))
                assert shown["publishers"] == (10 if day == days[0] else 20)


def test_a_day_without_calls_has_no_picture(flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture) -> None:
    """It says that there were no publishers; without a database there is nothing, and one warning."""
    log = logging.getLogger("pipeline")
    with Emulator(World(()), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        assert quality_metadata(flow, DAY, log) == {}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        run(flow, DAY)
        shown = quality_metadata(flow, DAY, log)
    assert shown.pop("quality").value == "0 publishers in 0 calls: 0 good, 0 poor, 0 unclassified."
    assert set(shown.values()) == {0}


def test_names_of_calls_stay_names_in_the_list() -> None:
    """An id that looks like Markdown or HTML is shown as it is, on one line."""
    odd = "a|b\n**c** <img src=x> [d](e) `f`"
    metadata = _metadata(DayQuality([CALL_ROW | {"call_id": odd}], {}))
    row = metadata["quality"].value.splitlines()[-1]
    assert row == r"| t\:a\|b \*\*c\*\* \<img src\=x\> \[d\]\(e\) \`f\` | 1 of 1 | – |"


def test_every_column_of_the_warehouse_comes_from_the_lake_and_of_the_lake_from_raw_answers() -> None:
    """Column lineage names columns that there are; only what is reckoned from other tables has none."""
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
    told = graph.get(dg.AssetKey(["lake", "participant_sessions"])).metadata["dagster/column_lineage"].deps_by_column
    by = {name: [source.asset_key.path[1] for source in sources] for name, sources in told.items()}
    assert by["joined_at"] == ["participant_sessions"]
    assert by["client_ip"] == ["participant_metrics", "participant_stats"]
    assert by["client_name"] == ["participant_metrics"]
    assert by["latency_ms"] == by["published_video"] == ["participant_stats"]
    assert without == {"lake/ingest_completeness_by_call"}


def test_tables_of_the_warehouse_are_due_when_the_night_is_over() -> None:
    """The freshness policy's deadline leaves the schedule four hours, and begins when it does."""
    definitions = build_definitions(Settings())
    graph = definitions.resolve_asset_graph()
    policies = {graph.get(dg.AssetKey(["warehouse", table])).freshness_policy for table in TABLES}
    (policy,) = policies
    assert (policy.deadline_cron, policy.timezone) == ("15 6 * * *", "UTC")
    assert definitions.resolve_schedule_def("trailing_days").cron_schedule == "15 2 * * *"
    assert policy.lower_bound_delta == timedelta(hours=4)
    assert definitions.resolve_schedule_def("morning_check").cron_schedule == policy.deadline_cron


def test_the_morning_check_tells_whether_yesterday_has_arrived(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A backfill of an old day does not content it; yesterday does, even without calls; it runs no other step."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    with Emulator(World(())) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("morning_check")

        def morning() -> tuple[bool, str]:
            result = job.execute_in_process(instance=instance)
            assert result.success
            (found,) = result.get_asset_check_evaluations()
            assert not result.get_asset_materialization_events()
            return found.passed, found.description

        assert morning()[0] is False
        with Flow(settings) as flow:
            run(flow, yesterday - timedelta(days=1))
            passed, said = morning()
            assert not passed
            assert (
                f"{yesterday} is not in the database, the newest day in it is {yesterday - timedelta(days=1)}" in said
            )
            run(flow, yesterday)
        assert morning() == (True, f"{yesterday} is in the database")


def test_refused_credentials_end_a_run_without_their_secret(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with one sentence; neither secret nor token is in any event."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        configured(emulator)
        monkeypatch.setenv("STREAM_API_SECRET", "a-secret-that-is-wrong")
        job = defs().resolve_job_def("ingest")
        result = job.execute_in_process(partition_key=f"{DAY}", instance=instance, raise_on_error=False)
    assert not result.success
    told = "\n".join(str(record) for record in instance.all_logs(result.run_id))
    assert "Stream refuses STREAM_API_KEY or STREAM_API_SECRET" in told
    assert "a-secret-that-is-wrong" not in told
    assert "eyJ" not in told


def night(flow: Flow, day: date) -> list[dg.RunRequest]:
    """What the schedule requests in the night in which a day begins."""
    definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(day.year, day.month, day.day, 2, 15, tzinfo=UTC),
        resources={"flow": flow},
        repository_def=definitions.get_repository_def(),
    )
    return list(definitions.resolve_schedule_def("trailing_days").evaluate_tick(context).run_requests or ())


def test_the_schedule_goes_over_the_last_days(tmp_path: Path) -> None:
    """Every night yesterday and the two days before it, yesterday first; none before the first partition."""
    with Flow(Settings(data=tmp_path)) as flow:
        requests = night(flow, date(2026, 3, 10))
        assert [request.partition_key for request in requests] == ["2026-03-09", "2026-03-08", "2026-03-07"]
        priorities = [int(request.tags["dagster/priority"]) for request in requests]
        assert priorities == sorted(priorities, reverse=True)
        assert [request.partition_key for request in night(flow, date(2026, 1, 2))] == ["2026-01-01"]


def test_the_schedule_asks_again_for_older_days_that_lack_something(flow_for: Callable[..., Flow]) -> None:
    """Until they are complete or forgotten, those first that are forgotten first, and with a new key every night."""
    days = [DAY + timedelta(days=offset) for offset in range(4)]
    world = World(tuple(a_call(datetime(2026, 3, day.day, 20, tzinfo=UTC), minutes=5) for day in days))
    night_of = date(2026, 3, 20)
    with Emulator(world, clock=ManualClock(datetime(2026, 3, 19, tzinfo=UTC))) as emulator:
        flow = flow_for(emulator)
        run(flow, days[3])  # complete
        emulator.add_faults(Fault("unrecoverable", "participant_metrics"))
        run(flow, days[1])  # a window failed
        flow.extract.call_stats(days[0])  # cut off: nobody knows who took part
        emulator.clear_faults()
        emulator.add_faults(Fault("shifted", "participant_metrics"))
        run(flow, days[2])  # an answer that cannot be right, and would be no other

        def older(day: date) -> list[str]:
            return [request.run_key for request in night(flow, day)[3:]]

        assert older(night_of) == ["2026-03-20:2026-03-01", "2026-03-20:2026-03-02"]
        assert older(night_of + timedelta(days=1)) == ["2026-03-21:2026-03-01", "2026-03-21:2026-03-02"]
        assert older(date(2026, 5, 31)) == ["2026-05-31:2026-03-02"]
        assert older(date(2026, 6, 2)) == []
        emulator.clear_faults()
        run(flow, days[0], days[1])
        assert older(night_of) == []


def test_a_list_of_calls_that_was_cut_off_is_asked_for_again(flow_for: Callable[..., Flow]) -> None:
    """A day of which every known call is complete lacks something while the list of its calls has no end."""
    start = datetime(2026, 3, 1, 10, tzinfo=UTC)
    calls = tuple(replace(a_call(start, minutes=1), call_id=f"call-{number}") for number in range(101))
    cut_off = Fault("unrecoverable", "call_stats", match={"page": "later"})
    with Emulator(World(calls), clock=ManualClock(AFTERWARDS), faults=(cut_off,)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert flow.incomplete_days(AFTERWARDS) == [DAY]
        emulator.clear_faults()
        run(flow, DAY)
        assert flow.incomplete_days(AFTERWARDS) == []


def test_days_with_tables_of_an_earlier_version_do_not_stop_the_schedule(flow_for: Callable[..., Flow]) -> None:
    """What their certificates do not tell, the raw answers do."""
    world = World((a_call(datetime(2026, 3, 1, 10, tzinfo=UTC), minutes=1),))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        (path,) = (flow.settings.tables / "ingest_completeness_by_call").rglob("*.parquet")
        pq.write_table(pq.read_table(path).drop_columns(["is_complete", "windows_due"]), path)
        assert flow.incomplete_days(AFTERWARDS) == []


def test_the_schedule_asks_for_a_bounded_number_of_older_days(flow_for: Callable[..., Flow]) -> None:
    """However many days lack something, a night takes on the most urgent ones only."""
    days = [DAY + timedelta(days=offset) for offset in range(OLDER_DAYS + 5)]
    with Emulator(World(()), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        for day in reversed(days):
            flow.extract.call_stats(day)
        requests = night(flow, date(2026, 4, 20))
        assert [request.partition_key for request in requests[3:]] == [f"{day}" for day in days[:OLDER_DAYS]]


def test_the_sensor_asks_for_the_days_that_have_news(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A tick requests each day with news once; the same news again is the same run, newer news is another."""
    clock = ManualClock(datetime(2026, 3, 1, 23, tzinfo=UTC))
    world = World(tuple(WORLD.calls) + tuple(odd_world(DAY, days=1, scale=0).calls))
    with Emulator(world, clock=clock) as emulator:
        settings = configured(emulator)
        with Flow(settings) as flow:
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            sensor = definitions.resolve_sensor_def("late_data")

            def tick(cursor: str | None) -> Any:
                context = dg.build_sensor_context(
                    instance=instance, cursor=cursor, resources={"flow": flow}, definitions=definitions
                )
                return sensor.evaluate_tick(context)

            first = tick(None)
            assert [request.partition_key for request in first.run_requests] == [f"{DAY}"]
            again = tick(first.cursor)
            assert not again.run_requests
            clock.advance(timedelta(days=1))
            later = tick(again.cursor)
            assert [request.partition_key for request in later.run_requests] == [f"{DAY}"]
            assert later.run_requests[0].run_key != first.run_requests[0].run_key


class Sensor:
    """The sensor as Dagster's daemon has it: anew for every tick, with nothing but the cursor from before."""

    def __init__(self, flow: Flow, instance: dg.DagsterInstance, cursor: str | None = None) -> None:
        self.cursor = cursor
        self.run_keys: set[str] = set()
        self._flow = flow
        self._instance = instance

    def tick(self) -> list[str]:
        """The days requested whose run key is a new one, as Dagster would have it."""
        definitions = build_definitions(self._flow.settings, flow=shared_flow_resource(self._flow))
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self.cursor,
            resources={"flow": self._flow},
            definitions=definitions,
        )
        tick = definitions.resolve_sensor_def("late_data").evaluate_tick(context)
        assert tick.skip_message is None or not tick.run_requests
        self.cursor = tick.cursor
        fresh = [request for request in tick.run_requests or () if request.run_key not in self.run_keys]
        self.run_keys |= {request.run_key for request in fresh}
        return [request.partition_key for request in fresh]


class HurryingClock(ManualClock):
    """A clock that moves on while it is looked at, so that calls go on between two requests of one tick."""

    def __init__(self, now: datetime, step: timedelta) -> None:
        super().__init__(now)
        self.step = step

    def __call__(self) -> datetime:
        self.advance(self.step)
        return self.now


def test_a_sensor_that_was_off_for_days_catches_up_a_day_a_tick(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """No tick looks further than a day on, none begins again with what was seen, and in the end nothing is missing.

    Calls go on all the time, also while the sensor looks: the source's clock moves on with every request.
    """
    starts = [datetime(2026, 3, day, 22, tzinfo=UTC) for day in (1, 2, 4, 9, 10)]
    world = World(tuple(a_call(start, minutes=150) for start in starts))
    clock = HurryingClock(starts[0], timedelta(seconds=20))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator, start=DAY)
        sensor = Sensor(flow, instance)
        run(flow, *map(date.fromisoformat, sensor.tick()))
        clock.advance(timedelta(days=8, hours=23))
        ticks = 0
        while asked_at(sensor.cursor) < starts[-1] + timedelta(hours=4):
            before = asked_at(sensor.cursor)
            requested = sensor.tick()
            assert timedelta() < asked_at(sensor.cursor) - before <= timedelta(days=1)
            assert len(requested) <= 2, "a day of changes is of few days"
            run(flow, *map(date.fromisoformat, requested))
            if clock.now - asked_at(sensor.cursor) < timedelta(hours=1):  # caught up: ticks come at their pace again
                clock.advance(timedelta(minutes=20))
            ticks += 1
        assert ticks > 9
        assert_published(flow, emulator.expected_rows())
        assert all(flow.completeness(start.date()).complete for start in starts)


def test_the_sensor_looks_from_where_it_stopped_after_an_error(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """A tick that breaks off keeps what it saw; the next one goes on from there, after a restart too."""
    early, late = datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, 20, tzinfo=UTC)
    many = tuple(replace(a_call(late, minutes=5), call_id=f"call-{number}") for number in range(101))
    clock = ManualClock(early - timedelta(hours=1))
    with Emulator(World((a_call(early, minutes=5), *many)), clock=clock) as emulator:
        sensor = Sensor(flow_for(emulator), instance)
        assert sensor.tick() == []
        clock.now = datetime(2026, 3, 3, 6, tzinfo=UTC)
        emulator.add_faults(Fault("unrecoverable", "call_stats", match={"page": "later"}))
        assert [sensor.tick() for _ in range(2)] == [[f"{DAY}"], []]
        broken_off = asked_at(sensor.cursor)
        assert late - timedelta(hours=1) < broken_off < late + timedelta(minutes=10)
        assert sensor.tick() == []
        assert asked_at(sensor.cursor) == broken_off
        emulator.clear_faults()
        restarted = Sensor(flow_for(emulator), instance, sensor.cursor)
        assert [restarted.tick() for _ in range(2)] == [["2026-03-02"], []]


def test_days_without_a_partition_do_not_stop_the_sensor(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """News of a day before the first one is passed over; that of one to come waits until its partition is there."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    long_ago = datetime(2025, 12, 31, 10, tzinfo=UTC)
    calls = tuple(a_call(start, minutes=5) for start in (long_ago, today, tomorrow))
    clock = ManualClock(long_ago + timedelta(hours=1))
    with Emulator(World(calls), clock=clock) as emulator:
        flow = flow_for(emulator, start=date(2026, 1, 1))
        assert Sensor(flow, instance).tick() == []
        clock.now = tomorrow + timedelta(hours=1)
        sensor = Sensor(flow, instance)
        assert today.date().isoformat() not in sensor.tick()
        cursor = json.loads(sensor.cursor or "")
        assert cursor["waiting"] == [f"{tomorrow.date()}"]
        cursor["waiting"] = [f"{today.date()}"]  # a day later
        later = Sensor(flow, instance, json.dumps(cursor))
        assert later.tick() == [f"{today.date()}"]
        assert json.loads(later.cursor or "")["waiting"] == []
        assert later.tick() == []


def test_the_sensor_skips_with_a_sentence_where_it_cannot_ask(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Without credentials a tick is skipped and says what to set; the cursor stays."""
    settings = Settings(data=tmp_path)
    with Flow(settings) as flow:
        sensor = build_definitions(settings).resolve_sensor_def("late_data")
        context = dg.build_sensor_context(instance=instance, cursor=None, resources={"flow": flow})
        result = sensor.evaluate_tick(context)
    assert "set STREAM_API_KEY and STREAM_API_SECRET" in result.skip_message
    assert not result.run_requests


def test_errors_that_name_each_other_as_their_cause_are_looked_through_once() -> None:
    """Dagster makes such circles of errors that nobody foresaw; one of ours in them is found all the same."""
    first, second = ValueError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert _own_error(first) is None
    second.__cause__ = ours = FixSettings("mend it")
    ours.__context__ = first
    assert _own_error(first) is ours


def test_a_run_whose_process_is_dead_is_ended(tmp_path: Path) -> None:
    """A killed run is marked as failed when the next one begins; one that is alive is left alone."""
    settings = Settings(data=tmp_path)
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("ingest")
        dead, alive = (instance.create_run_for_job(job, tags={}) for _ in range(2))
        for run in (dead, alive):
            instance.report_dagster_event(
                dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="ingest"), run_id=run.run_id
            )
        locks = tmp_path / ".work" / "runs"
        locks.mkdir(parents=True)
        (locks / f"{dead.run_id}.lock").touch()
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                HOLDER,
                str(locks / f"{alive.run_id}.lock"),
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert end_dead_runs(instance, settings) == [dead.run_id]
        finally:
            holder.kill()
            holder.communicate()
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive.run_id).status == dg.DagsterRunStatus.STARTED


def started_run(instance: dg.DagsterInstance, settings: Settings) -> str:
    """A run that Dagster takes for one that goes on."""
    run = instance.create_run_for_job(build_definitions(settings).resolve_job_def("ingest"), tags={})
    report(instance, run.run_id, "PIPELINE_START")
    return run.run_id


def report(instance: dg.DagsterInstance, run_id: str, event: str) -> None:
    instance.report_dagster_event(dg.DagsterEvent(event_type_value=event, job_name="ingest"), run_id=run_id)


def test_a_run_that_ended_while_others_looked_is_left_as_it_ended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Who read that a run goes on, and then gets its lock because it is over, reads again before it ends it."""
    settings = Settings(data=tmp_path)
    run_id = started_run(instance, settings)
    lock = tmp_path / ".work" / "runs" / f"{run_id}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    report(instance, run_id, "PIPELINE_SUCCESS")
    assert not end_if_dead(instance, settings, run_id)
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS
    assert not lock.exists()


def test_a_living_run_is_never_ended_as_it_begins_or_ends(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Dagster records the end of a run after its lock is given back; who looks meanwhile leaves it alone."""
    settings = Settings(data=tmp_path)
    run_id = started_run(instance, settings)
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            with alive(settings, run_id):
                pass

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        assert not any(end_if_dead(instance, settings, run_id) for _ in range(3_000))
    finally:
        over.set()
        thread.join()
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED


@pytest.mark.timeout(600)
def test_dagster_shows_the_runs_of_the_command_line(tmp_path: Path) -> None:
    """`call-metrics ui` opens Dagster on the instance of the command line, which goes on beside it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALL_METRICS_DATA": str(tmp_path / "data")}
    subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--days", "1"],
        check=True,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    ui = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "ui", "--port", str(port)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    query = "{ runsOrError { ... on Runs { results { jobName status } } } assetNodes { assetKey { path } } }"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    data = json.load(response)["data"]
                break
            except OSError:
                assert time.monotonic() < deadline, "Dagster did not come up"
                time.sleep(0.5)
        assert data["runsOrError"]["results"] == [{"jobName": "ingest", "status": "SUCCESS"}]
        assert ["warehouse", "metric_points"] in [node["assetKey"]["path"] for node in data["assetNodes"]]
        beside = [sys.executable, "-m", "pipeline", "demo", "--days", "1"]
        subprocess.run(beside, check=True, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    finally:
        os.killpg(ui.pid, signal.SIGTERM)
        try:
            ui.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(ui.pid, signal.SIGKILL)
            ui.communicate()
