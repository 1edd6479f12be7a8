"""Raw responses, tables and a DuckLake, all in an object store: machines that share nothing but it and PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.catalog import LakeCatalog
from pipeline.emulator import KEY, SECRET, Emulator, ManualClock, World, uniform_world
from pipeline.emulator import Fault as SlowResponse
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.serving.query import print_result
from pipeline.settings import Secret, Settings
from pipeline.warehouse.attach import attach
from pipeline.warehouse.published import open_published
from tests.integration.storage.conftest import S3, Start, finish
from tests.support import differences
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, published
from tests.support.object_store import Fault
from tests.support.postgres import Database, Postgres

TODAY = datetime.now(UTC).date()
TWO = (TODAY - timedelta(days=4), TODAY - timedelta(days=3))
BOTH = World(
    tuple(call for day in TWO for call in uniform_world(day, calls=6, people=4, minutes=30, step_seconds=60).calls)
)


def lake_of(s3: S3, database: Database, role: str = "writer") -> LakeCatalog:
    """Return the lake of the bucket."""
    return LakeCatalog.parse(database.setting(role), s3.url)


def on_days(*days: object) -> tuple[str, ...]:
    """Return the arguments for days from the first to the last."""
    return ("backfill", "--from", f"{days[0]}", "--to", f"{days[-1]}")


@pytest.mark.slow
def test_killed_backfill_is_finished_by_a_machine_with_an_empty_disk(
    start: Start, s3: S3, database: Database, tmp_path: Path
) -> None:
    """The lake equals the source row by row, and only what was on its way is requested twice."""
    slow = SlowResponse("slow", "participant_metrics", delay_seconds=0.05)
    with Emulator(BOTH, faults=(slow,)) as source:
        first, second = (start(*on_days(day), on=source) for day in TWO)
        for _ in range(600):
            if sum("/participant_metrics/" in key for key in s3.bucket.list_keys()) > 1:
                break
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert first.returncode == -signal.SIGKILL
        code, _, err = finish(second)
        assert code == 0, err
        code, _, err = finish(start(*on_days(*TWO), on=source))
        assert code == 0, err
        asked = [request.target for request in source.requests if request.endpoint == "participant_metrics"]
        assert len(asked) - len(set(asked)) <= 16
        where = {"data": s3.url, "scratch": tmp_path / "reader", "warehouse_file": database.setting()}
        with Flow(Settings(**where, api_key=KEY, api_secret=Secret(SECRET))) as flow:
            assert not list(differences(flow.settings.warehouse, flow.landing, source.expected_rows()))


@pytest.mark.slow
def test_second_worker_on_a_day_waits_and_finds_nothing_to_do(start: Start, s3: S3) -> None:
    """No window is requested twice."""
    with Emulator(BOTH) as source:
        both = [start(*on_days(TWO[0]), on=source) for _ in range(2)]
        for process in both:
            code, _, err = finish(process)
            assert code == 0, err
        asked = [request.target for request in source.requests if request.endpoint == "participant_metrics"]
        assert len(asked) == len(set(asked)) > 0


@pytest.mark.slow
def test_run_survives_a_bad_minute_of_both_servers(machine: Callable[..., Flow], s3: S3, postgres: Postgres) -> None:
    """It ends well or with one sentence, and the next one completes the day."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source)
        faults = (Fault("error", "PUT", key="/lake/", times=2), Fault("error", "HEAD GET", key="/lake/", times=2))
        restart = threading.Timer(0.5, lambda: (postgres.stop(), postgres.start()))
        restart.start()
        ending = ""
        with s3.proxy.suffering(*faults):
            try:
                flow.run(DAY)
            except FixStorage as error:
                ending = str(error)
            restart.join()
            assert "\n" not in ending
            other = machine(source)
            with contextlib.suppress(FixStorage):
                other.run(DAY)
        assert machine(source).run(DAY).is_complete
        assert_published(other, source.expected_rows())


@pytest.mark.slow
def test_commands_work_from_an_empty_disk(start: Start, s3: S3) -> None:
    """Status, sql, report, rebuild, forget and doctor, by the writer or a role that only reads."""
    with Emulator(BOTH) as source:
        assert finish(start(*on_days(TWO[0]), on=source))[0] == 0
        code, _, err = finish(start("status", on=source))
        assert code == 0, err
        counted = "SELECT count(*) > 0 AS some FROM metric_points"
        code, out, err = finish(start("sql", counted, "--format", "json", role="reader"))
        assert (code, json.loads(out or "[]")) == (0, [{"some": True}]), err
        call = BOTH.calls[0]
        code, out, err = finish(start("report", call.call_session_id, "-o", "-", role="reader"))
        assert "<html" in out, err
        code, _, err = finish(start("rebuild", "--from", f"{TWO[0]}", "--to", f"{TWO[0]}"))
        assert code == 0, err
        assert finish(start("forget", "--user", call.participants[0].user_id))[0] == 0
        out = finish(start("doctor", on=source))[1]
        assert "FAIL" not in out
        s3.bucket.keep_versions()
        out = finish(start("doctor", on=source))[1]
        assert f"ok    data: {s3.url} keeps versions of its objects; `forget` deletes old ones" in out
        with s3.proxy.suffering(Fault("error", "VERSIONS", status=403, code="AccessDenied")):
            out = finish(start("doctor", on=source))[1]
            assert f"FAIL  data: {s3.url} keeps versions of its objects, and the credentials may not list them" in out
            code, _, err = finish(start("forget", "--user", call.participants[1].user_id))
        assert (code, err.count("\n")) == (2, 1)
        assert err.endswith("ListBucketVersions on the bucket; the user is not erased yet: then run `forget` again\n")


@pytest.mark.slow
def test_person_is_in_no_object_once_forgotten(machine: Callable[..., Flow], s3: S3) -> None:
    """Raw responses, tables and files of the lake, of old snapshots too, and those never registered."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source)
        first.run(DAY)
        first.load([DAY], rebuild=True)
        orphan = f"{s3.url.split('/', 3)[3]}/lake/store/series/session_date={DAY}/x-1.parquet"
        s3.bucket.write(orphan, b"user-1")
        assert any(b"user-1" in content for key, content in s3.bucket.contents().items() if "/lake/" in key)
        first.forget("user-1")
        assert not any(b"user-1" in content for content in s3.bucket.contents().values())
        assert published(first, "participant_sessions")
        assert not any("user-1" in row for row in published(first, "participant_sessions"))


@pytest.mark.slow
def test_old_files_are_cleaned_from_the_bucket(machine: Callable[..., Flow], s3: S3) -> None:
    """Replaced files go with their snapshots, and the day stays."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source)
        flow.run(DAY)
        before = len(s3.bucket.list_keys())
        old = next(key for key in s3.bucket.list_keys() if "/lake/main/windows/" in key)
        flow.load([DAY], rebuild=True)
        assert len(s3.bucket.list_keys()) > before
        flow.warehouse.clean(timedelta(0))
        flow.store.delete(old.partition("/")[2])  # as a process that was killed while it cleaned has done
        flow.warehouse.clean(timedelta(0), grace=timedelta(seconds=-5))
        assert len(s3.bucket.list_keys()) == before
        assert_published(flow, source.expected_rows())


@pytest.mark.slow
def test_queries_reach_nothing_but_the_lake(machine: Callable[..., Flow], s3: S3, database: Database) -> None:
    """No other object, bucket or file, and no credential."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        machine(source).run(DAY)
    key = next(key for key in s3.bucket.list_keys() if "/tables/" in key and key.endswith(".parquet"))
    other = f"s3://{s3.bucket.name}/{key}"
    detour = f"{s3.url}/lake/../{key.partition('/')[2]}"
    before = s3.bucket.list_keys()
    lake = lake_of(s3, database, "reader")
    for query in (
        f"FROM '{other}'",
        f"FROM '{detour}'",
        f"FROM read_parquet('{other}')",
        f"FROM read_parquet('{detour}')",
        "FROM '/etc/passwd'",
        "FROM read_text('/etc/passwd')",
        "FROM 's3://another-bucket/x.parquet'",
        f"FROM glob('{s3.url}/**')",
        "FROM duckdb_secrets()",
        f"COPY (SELECT 1) TO '{s3.url}/lake/x.csv'",
        "CREATE SECRET x (TYPE s3)",
        "DROP SECRET lake_files",
    ):
        with pytest.raises(FixSettings) as refused:
            print_result(lake, query, "csv")
        assert "hunter2" not in str(refused.value)
    assert s3.bucket.list_keys() == before
    with s3.proxy.counting() as traffic:
        print_result(lake, "SELECT count(*) FROM call_quality", "csv")
    assert set(traffic.requests) <= {"GET", "HEAD"}
    with open_published(lake) as database_:
        for query in (
            f"FROM read_parquet('{other}')",
            "FROM read_text('/etc/passwd')",
            "FROM 's3://another/x.parquet'",
        ):
            with pytest.raises(Exception, match="disabled by configuration"):
                database_.execute(query)
        assert "hunter2" not in str(database_.execute("FROM duckdb_secrets()").fetchall())


def test_refused_credentials_are_one_sentence_without_them(
    machine: Callable[..., Flow], s3: S3, database: Database
) -> None:
    """A query says what the store answered."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        machine(source).run(DAY)
    with (
        s3.proxy.suffering(Fault("error", "GET HEAD LIST", status=403, code="AccessDenied")),
        pytest.raises(FixSettings, match="the query failed: HTTP Error: ") as refused,
    ):
        print_result(lake_of(s3, database), "FROM windows", "csv")
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_credentials_that_are_nowhere_are_one_sentence(
    s3: S3, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without keys in the environment, those of the machine are looked for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FixStorage, match="finds no credentials; set AWS_ACCESS_KEY_ID"):
        attach(lake_of(s3, database), read_only=False)


def test_keys_of_the_machine_are_found(
    s3: S3, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """DuckDB's extension `aws` finds them, and the secret shows nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = abc\naws_secret_access_key = hunter2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with attach(lake_of(s3, database), read_only=False) as lake:
        lake.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert lake.execute("FROM t").fetchall() == [(1,)]
        assert "hunter2" not in str(lake.execute("FROM duckdb_secrets()").fetchall())
