"""What one wants to leave alone for a year: late and live data, broken files, slips of the hand, people forgotten."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.emulator import (
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    WireFormat,
    World,
    skewed,
    uniform_world,
)
from pipeline.errors import FixSettings, FixStorage, Interrupted
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.segment import RAW_SCHEMA
from pipeline.model import Request, Response
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.runner import Runner
from pipeline.schema import TABLES
from pipeline.settings import Settings
from tests.support.flows import assert_published, published, run

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 22, tzinfo=UTC)
AFTERWARDS = datetime(2026, 3, 4, 12, tzinfo=UTC)


def call(name: str, *, minutes: int | None, people: int = 1, **given: Any) -> CallSpec:
    """A call in which everyone talks to the end; without `minutes` it goes on."""
    end = START + timedelta(minutes=minutes) if minutes is not None else None
    talk = Points.every(30, START, bitrate=tuple(range(2 * (minutes or 1_000))))
    return CallSpec(
        call_type="default",
        call_id=name,
        call_session_id=f"{name}-1",
        started_at=START,
        ended_at=end,
        participants=tuple(
            StaySpec(
                user_id=f"user-{number}",
                user_session_id=f"{name}-{number}",
                joined_at=START,
                left_at=end,
                tracks=(TrackSpec("mic", "audio", "opus", talk),),
            )
            for number in range(people)
        ),
        **given,
    )


WORLD = World((call("a", minutes=50, people=2), call("b", minutes=20, people=2)))


# Late and live data.


def test_calls_that_go_on_while_the_sensor_ticks_are_whole_in_the_end(
    flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """Ticks every half hour, over midnight and past late reports, leave exactly what the source has at the end."""
    calls = (
        call("over-midnight", minutes=150, people=2),
        call("short", minutes=7),
        call("late-report", minutes=45, reports=(timedelta(minutes=2), timedelta(hours=3))),
    )
    clock = ManualClock(START - timedelta(minutes=5))
    with Emulator(World(calls), clock=clock) as emulator, dg.instance_for_test() as instance:
        flow = flow_for(emulator, start=DAY)
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
        sensor = definitions.resolve_sensor_def("late_data")
        runner = Runner(instance, flow)
        cursor: str | None = None
        done: set[str] = set()
        for _ in range(12):
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"flow": flow}, definitions=definitions
            )
            tick = sensor.evaluate_tick(context)
            for request in tick.run_requests or ():
                assert request.run_key not in done, "Dagster would not run a key twice"
                done.add(request.run_key)
                runner.run(date.fromisoformat(request.partition_key))
            cursor = tick.cursor
            clock.advance(timedelta(minutes=30))
        assert_published(flow, emulator.expected_rows())
        assert {row[0] for row in published(flow, "metric_points")} == {DAY}
        assert flow.completeness(DAY).complete


def test_only_what_has_a_newer_report_is_asked_for_again(flow_for: Callable[..., Flow]) -> None:
    """Of two calls one gets a second report: its windows are fetched again, the other's are not."""
    late = call("late", minutes=50, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(World((late, call("done", minutes=50))), clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        clock.now = AFTERWARDS
        emulator.clear_requests()
        run(flow, DAY)
        asked = [request.ids["call_id"] for request in emulator.requests if request.endpoint == "participant_metrics"]
        assert asked == ["late", "late"]
        assert_published(flow, emulator.expected_rows())


def test_a_live_call_is_ingested_up_to_now_and_completed_later(flow_for: Callable[..., Flow]) -> None:
    """While it goes on only its unsettled windows are asked for again; nothing counts as missing."""
    clock = ManualClock(START + timedelta(minutes=65))
    with Emulator(World((call("live", minutes=100),)), clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert_published(flow, emulator.expected_rows())
        survey = flow.completeness(DAY)
        assert (survey.live_calls, survey.verdict) == (1, "going on")
        emulator.clear_requests()
        clock.advance(timedelta(minutes=5))
        run(flow, DAY)
        assert emulator.count("participant_metrics") == 1  # the third window; the first two had settled
        assert_published(flow, emulator.expected_rows())
        clock.now = AFTERWARDS
        run(flow, DAY)
        assert_published(flow, emulator.expected_rows())


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_by_an_hour_changes_nothing(hours: int, flow_for: Callable[..., Flow]) -> None:
    """Instants are by the source's clock: answers are final when they should be, and nothing is asked twice."""
    ended = datetime.now(UTC) + timedelta(hours=hours) - timedelta(minutes=3)
    began = ended - timedelta(minutes=40)
    talk = Points.every(30, began, bitrate=tuple(range(81)))
    stay = StaySpec("ann", "ann-1", joined_at=began, left_at=ended, tracks=(TrackSpec("mic", "audio", "opus", talk),))
    world = World((CallSpec("default", "c", "c-1", started_at=began, ended_at=ended, participants=(stay,)),))
    with Emulator(world, clock=skewed(timedelta(hours=hours))) as emulator:
        flow = flow_for(emulator)
        run(flow, began.date())
        assert_published(flow, emulator.expected_rows())
        asked = emulator.count("participant_metrics")
        run(flow, began.date())
        assert emulator.count("participant_metrics") == asked == 2
        (fetched_at,) = {row[13].replace(second=0, microsecond=0) for row in published(flow, "windows")} or {None}
        assert abs(fetched_at - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=3)


# The edge, and the certificate.


def test_who_is_gone_is_not_asked_for_again_and_costs_nothing_held(flow_for: Callable[..., Flow]) -> None:
    """A participant that answers 404 is `gone`: recorded, complete, never asked for again."""
    gone = Fault("not_found", "participant_metrics", match={"user_session_id": "a-1"})
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(gone,)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        states = {(row[5], row[8]) for row in published(flow, "windows")}
        assert ("a-1", "gone") in states
        assert ("a-0", "landed") in states
        assert flow.completeness(DAY).complete
        emulator.clear_requests()
        run(flow, DAY)
        assert emulator.count("participant_metrics") == 0


def test_a_404_takes_nothing_back(flow_for: Callable[..., Flow]) -> None:
    """Where a later report makes us ask again and the source answers 404, what an earlier answer gave stays."""
    late = call("late", minutes=50, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(World((late,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        held = published(flow, "metric_points")
        clock.now = AFTERWARDS
        emulator.add_faults(Fault("not_found", "participant_metrics"))
        run(flow, DAY)
        assert published(flow, "metric_points") == held
        assert {row[8] for row in published(flow, "windows")} == {"landed"}


def test_every_call_has_a_certificate(flow_for: Callable[..., Flow]) -> None:
    """Per call: promised and held, expected and landed, points, unit, and a hash over its answers."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), wire=WireFormat(unit="ms")) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        first = flow.certificates(DAY)
        a, b = first
        assert (a["call_id"], a["stays_promised"], a["stays_held"]) == ("a", 2, 2)
        assert (a["windows_expected"], a["windows_landed"], a["timestamp_units"]) == (4, 4, "ms")
        # 50 minutes at 30 seconds are 101 instants with the one at the end, of which Points gives 100; the one at
        # 30 minutes lies on a seam and is in both windows.
        assert a["points"] == 2 * (100 + 1)
        assert a["forgotten_at"] == START + timedelta(minutes=50, days=90)
        assert a["is_complete"]
        assert b["is_complete"]
        assert a["raw_sha256"] != b["raw_sha256"]
        assert {row[1:4] for row in published(flow, "ingest_completeness_by_call")} == {
            ("default", "a", "a-1"),
            ("default", "b", "b-1"),
        }
        flow.build_tables(DAY, rebuild=True)
        assert flow.certificates(DAY) == first


def test_a_promise_that_is_not_kept_is_reported(flow_for: Callable[..., Flow]) -> None:
    """Where the source speaks of more people than it lists, the day is incomplete, and the next run asks again."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        fault = Fault("shrunken", "participant_sessions", match={"call_id": "a"})
        emulator.add_faults(fault)
        flow = flow_for(emulator)
        run(flow, DAY)
        assert list(map(str, flow.completeness(DAY).problems)) == ["0 of 2 stays of default:a (session a-1) are stored"]
        assert not flow.certificates(DAY)[0]["is_complete"]
        emulator.clear_faults()
        run(flow, DAY)
        assert flow.completeness(DAY).complete
        assert_published(flow, emulator.expected_rows())


@pytest.mark.timeout(600)
def test_ninety_days_in_one_go(flow_for: Callable[..., Flow]) -> None:
    """Three months with calls at either end and nothing between them: every day is there, and known to be complete."""
    days = [DAY + timedelta(days=offset) for offset in range(90)]
    early = uniform_world(days[0], calls=1, people=1, minutes=10, step_seconds=60)
    late = uniform_world(days[-1], calls=1, people=1, minutes=10, step_seconds=60)
    clock = ManualClock(datetime.combine(days[-1], datetime.min.time(), UTC) + timedelta(days=1))
    with Emulator(early + late, clock=clock) as emulator:
        flow = flow_for(emulator)
        with flow.warehouse.publishing_seldom(60):  # as on the command line
            run(flow, *days)
        flow.load([])
        assert_published(flow, emulator.expected_rows())
        assert flow.lake.days() == days
        assert all(flow.completeness(day).complete for day in days)


def test_an_empty_list_without_a_total_is_not_nobody(flow_for: Callable[..., Flow]) -> None:
    """Call_stats count user sessions too: as long as these are more than none, the call is incomplete."""
    nobody = World((call("a", minutes=50),))

    class Silent(StreamApi):
        async def fetch(self, request: Request) -> Response:
            answer = await super().fetch(request)
            if request.endpoint == "participant_sessions":
                return replace(answer, body='{"participants_sessions": []}')
            return answer

    with Emulator(nobody, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = flow_for(emulator).settings
        with Flow(settings, connect=lambda of: Silent(of.base_url, of.credentials())) as flow:
            run(flow, DAY)
            assert [str(problem) for problem in flow.completeness(DAY).problems] == [
                "0 of 1 stays of default:a (session a-1) are stored"
            ]
            assert not flow.certificates(DAY)[0]["is_complete"]


def test_people_who_are_forgotten_at_once_are_all_forgotten(flow_for: Callable[..., Flow]) -> None:
    """Nobody's forgetting takes the place of another's."""
    with Emulator(World((call("a", minutes=5, people=6),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: flow_for(emulator).forget(f"user-{number}"), range(6)))
        assert len(ErasedUsers.read(flow.settings.raw / "forgotten.json").users) == 6
        assert not published(flow, "participant_sessions")


# Broken files and foreign ones.


def spoil(path: Path) -> None:
    """Overwrite the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"x" * 200
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage", [spoil, lambda path: path.write_bytes(b"PAR1 no more"), lambda path: path.write_bytes(b"")]
)
def test_a_broken_segment_is_set_aside_and_its_windows_are_fetched_again(
    damage: Callable[[Path], None], flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """What was in it counts as not landed; the file stays under another name, and one sentence says so."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        (segment,) = flow.landing.segments("participant_metrics", DAY)
        damage(segment)
        broken = segment.read_bytes()
        with caplog.at_level(logging.WARNING, logger="pipeline"):
            for _ in range(2):  # the body may turn out to be broken when it is read, after the planning
                run(flow, DAY)
                flow.build_tables(DAY, rebuild=True)
                flow.load([DAY])
        (aside,) = segment.parent.glob(f"{segment.name}.set-aside-*")
        assert f"quarantined as {aside.name}; its content will be fetched again" in caplog.text
        assert aside.read_bytes() == broken
        assert_published(flow, emulator.expected_rows())
        assert flow.completeness(DAY).complete


def test_a_broken_table_is_set_aside_and_made_anew(flow_for: Callable[..., Flow]) -> None:
    """The next run writes the file again and keeps the broken one under another name."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        path = Path(flow.lake.path("tracks", DAY))
        path.write_bytes(b"nonsense")
        run(flow, DAY)
        (aside,) = path.parent.glob("tracks.parquet.set-aside-*")
        assert aside.read_bytes() == b"nonsense"
        assert_published(flow, emulator.expected_rows())


@pytest.mark.parametrize("which", ["published", "writer"])
@pytest.mark.parametrize("kind", ["nonsense", "foreign"])
def test_a_database_that_is_broken_or_not_ours_is_set_aside(
    which: str, kind: str, flow_for: Callable[..., Flow]
) -> None:
    """It is renamed, never deleted, and a whole one takes its place."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        path = flow.settings.warehouse if which == "published" else flow.settings.data / ".work" / "warehouse.duckdb"
        path.unlink()
        if kind == "nonsense":
            path.write_bytes(b"nonsense" * 1000)
        else:
            with duckdb.connect(str(path)) as database:
                database.execute("CREATE TABLE somebody_elses AS SELECT 1 AS one")
        before = path.read_bytes()
        flow.load([DAY])
        (aside,) = path.parent.glob(f"{path.name}.set-aside-*")
        assert aside.read_bytes() == before
        assert_published(flow, emulator.expected_rows())


def test_tables_of_an_earlier_version_are_made_anew(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever day is backfilled next, the tables of all days get the present columns, from what has landed."""
    began = START + timedelta(days=1)
    late = CallSpec("default", "c", "c-1", started_at=began, ended_at=began + timedelta(minutes=10), participants=())
    with Emulator(World((*WORLD.calls, late)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        for path in (flow.settings.data / "tables").rglob("*.parquet"):
            rows = pq.read_table(path)
            names = [name for name in rows.column_names if name not in ("sdk", "windows_due")]
            pq.write_table(
                rows.select(names).replace_schema_metadata(
                    {"call_metrics.fingerprint": "0" * 32, "call_metrics.tables_version": "1"}
                ),
                path,
            )
        held = flow_for(emulator)
        with caplog.at_level(logging.INFO):
            run(held, DAY + timedelta(days=1))
        assert "rebuilding the tables of 1 days, which an earlier version of Call Metrics wrote" in caplog.text
        assert "sdk" in held.lake.read("participant_sessions", DAY).column_names
        assert_published(held, emulator.expected_rows())
        caplog.clear()
        run(flow_for(emulator), DAY)
        assert "earlier version" not in caplog.text


def test_an_upgrade_that_is_cut_off_goes_on(flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """Days whose tables were made anew before it was stopped are loaded all the same."""
    days = [DAY, DAY + timedelta(days=1)]
    world = uniform_world(days[0], calls=1, people=1, minutes=5) + uniform_world(days[1], calls=1, people=1, minutes=5)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, *days)
        before = published(flow, "participant_sessions")
        for path in (flow.settings.tables).rglob("*.parquet"):
            rows = pq.read_table(path)
            pq.write_table(rows.replace_schema_metadata({"call_metrics.fingerprint": "0" * 32}), path)
        with duckdb.connect(str(flow.settings.work / "warehouse.duckdb")) as database:
            database.execute("UPDATE participant_sessions SET duration_seconds = 0")
        stopped = flow_for(emulator)
        write = stopped.build_tables

        def write_one_and_stop(day: date, **given: Any) -> Any:
            if day != days[0]:
                raise Interrupted("stopped")
            return write(day, **given)

        monkeypatch.setattr(stopped, "build_tables", write_one_and_stop)
        with pytest.raises(Interrupted):
            stopped.load([])
        flow_for(emulator).load([])
        assert published(flow, "participant_sessions") == before


def test_data_of_a_later_version_is_refused(flow_for: Callable[..., Flow]) -> None:
    """Raw answers that a later version wrote are left alone, and one sentence says to upgrade."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        (segment,) = flow.landing.segments("participant_metrics", DAY)
        later = RAW_SCHEMA.with_metadata({"call_metrics.raw_version": "99"})
        pq.write_table(pq.read_table(segment).replace_schema_metadata(later.metadata), segment)
        with pytest.raises(FixStorage, match="later version of Call Metrics; upgrade"):
            run(flow, DAY)
        assert segment.exists()


def test_one_folder_does_not_publish_over_what_another_published(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Two data folders with one CALL_METRICS_WAREHOUSE: the second is refused in one sentence."""
    shared = tmp_path / "shared.duckdb"
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        run(flow_for(emulator, warehouse_file=shared), DAY)
        other = flow_for(emulator, warehouse_file=shared, data=tmp_path / "other")
        with pytest.raises(FixStorage, match="was published from another data folder; set CALL_METRICS_WAREHOUSE"):
            run(other, DAY)
        assert_published(flow_for(emulator, warehouse_file=shared), emulator.expected_rows())


def test_a_folder_that_is_moved_goes_on(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """The data folder can be moved or copied: nothing in it knows where it lies."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        run(flow_for(emulator), DAY)
        shutil.move(tmp_path / "data", tmp_path / "elsewhere")
        emulator.clear_requests()
        moved = flow_for(emulator, data=tmp_path / "elsewhere")
        run(moved, DAY)
        assert emulator.count("participant_metrics") == 0
        assert_published(moved, emulator.expected_rows())


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Where a file stands in the way of the data folder, that is what the error says."""
    (tmp_path / "file").write_text("")
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator, pytest.raises(FixStorage, match="file/data"):
        run(flow_for(emulator, data=tmp_path / "file" / "data"), DAY)


# People and addresses.


def traces(folder: Path, text: str) -> list[str]:
    """The files below a folder that have a text in them, Parquet files by their values."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = "\n".join(map(str, pq.read_table(path, partitioning=None).to_pylist())).encode()
            if text.encode() in content:
                found.append(str(path.relative_to(folder)))
    return found


def test_who_is_forgotten_stays_forgotten(flow_for: Callable[..., Flow]) -> None:
    """No trace in raw answers, tables or databases; none comes back with later runs or rebuilds; totals still hold."""
    late = {"reports": (timedelta(minutes=2), timedelta(days=1))}
    world = World((call("a", minutes=50, people=3, **late), call("b", minutes=20, people=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert traces(flow.settings.data, "user-1")
        assert flow.forget("user-1") == [DAY]
        for _ in range(2):
            assert traces(flow.settings.data, "user-1") == []
            with duckdb.connect(str(flow.settings.warehouse), read_only=True) as database:
                users = database.execute("SELECT DISTINCT user_id FROM metric_points ORDER BY ALL").fetchall()
            assert users == [("user-0",), ("user-2",)]
            assert flow.completeness(DAY).complete
            certificate = flow.certificates(DAY)[0]
            assert (certificate["stays_promised"], certificate["stays_held"], certificate["stays_forgotten"]) == (
                2,
                2,
                1,
            )
            clock.now = AFTERWARDS
            run(flow, DAY)
            flow.build_tables(DAY, rebuild=True)
            flow.load([DAY], rebuild=True)
        truth = emulator.expected_rows()
        of_others = {table: [row for row in truth[table] if row.get("user_id") != "user-1"] for table in truth}
        assert_published(flow, of_others)
        assert flow.forget("nobody-we-know") == []


@pytest.mark.parametrize(("mode", "kept"), [("keep", "203.0.113.77"), ("truncate", "203.0.113.0"), ("drop", None)])
def test_addresses_are_kept_as_far_as_the_settings_say(
    mode: str, kept: str | None, flow_for: Callable[..., Flow]
) -> None:
    """What is not to be kept of an address is in no file."""
    from dataclasses import replace

    from pipeline.emulator import ClientSpec

    one = call("a", minutes=10)
    stay = replace(one.participants[0], client=ClientSpec(name="web", ip="203.0.113.77"))
    with Emulator(World((replace(one, participants=(stay,)),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, client_ip=mode)
        run(flow, DAY)
        names = TABLES["participant_sessions"].schema.names
        ((row, _),) = published(flow, "participant_sessions").items()
        assert row[names.index("client_ip")] == kept
        assert bool(traces(flow.settings.data, "203.0.113.77")) == (mode == "keep")


def test_ids_that_look_like_paths_or_statements_stay_ids(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Nothing that the API sends becomes a file name or SQL."""
    names = ("../../../escaped", "'; DROP TABLE call_sessions; --", "a/b?c#d%e", "..", "ünï\u2028", '"quoted"')
    world = World(tuple(call(name, minutes=5) for name in names))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert_published(flow, emulator.expected_rows())
        assert not list(tmp_path.rglob("*escaped*"))
        assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_secrets_are_in_no_file_and_no_log(flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture) -> None:
    """Not even when the source repeats the token in what it answers."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        with caplog.at_level(logging.DEBUG):
            run(flow, DAY)
        settings: Settings = flow.settings
        assert settings.api_secret is not None
        token = StreamApi(settings.base_url, settings.credentials())._token
        for secret in (settings.api_secret.reveal(), token):
            assert traces(settings.data, secret) == []
            assert secret not in caplog.text


def test_tables_say_what_they_hold(flow_for: Callable[..., Flow]) -> None:
    """Every table and column of the published database has the comment of the contract, points included."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
    with duckdb.connect(str(flow.settings.warehouse), read_only=True) as database:
        columns = {
            (table, column): comment
            for table, column, comment in database.execute(
                "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main'"
            ).fetchall()
        }
    for table in TABLES.values():
        for name in table.schema.names:
            assert columns[table.name, name] == table.comment_of(name)
            assert pa.types.is_timestamp(table.schema.field(name).type) == (
                name.endswith("_at") or name in ("timestamp", "time", "since", "until")
            )


def test_a_real_source_is_not_mixed_with_the_demos_data(flow_for: Callable[..., Flow]) -> None:
    """By whatever door: the demo's emulator may go on, anything that is not on this machine is refused."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        run(flow_for(emulator), DAY)
        flow_for(emulator).settings.demo_mark.touch()
        run(flow_for(emulator), DAY)
        with pytest.raises(FixSettings, match="holds the data of the demo; set CALL_METRICS_DATA to another folder"):
            run(flow_for(emulator, base_url="https://video.stream-io-api.com"), DAY)
