"""Whole days with their data in an object store: several machines, each with an empty scratch folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, ManualClock, World, uniform_world
from pipeline.emulator import Fault as SlowResponse
from pipeline.endpoints import DAILY_ENDPOINTS, ENDPOINT_NAMES
from pipeline.flow import Flow
from pipeline.landing.compaction import MAX_SMALL_SEGMENTS
from pipeline.landing.landing import COMPACTED
from tests.integration.storage.conftest import S3
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, published
from tests.support.object_store import Fault

WINDOWS = 12 * 5 * 2
"""Windows of `world`."""

WORKER = """
import sys
from datetime import date
from pathlib import Path
from pipeline.flow import Flow
from pipeline.landing import writer
from pipeline.settings import Secret, Settings
url, scratch, source, key, secret, day = sys.argv[1:]
writer.SEGMENT_SECONDS = 0.05
where = {"data": url, "scratch": Path(scratch), "base_url": source}
with Flow(Settings(**where, api_key=key, api_secret=Secret(secret), concurrency=2)) as flow:
    print(flow.run(date.fromisoformat(day)).verdict)
"""


@pytest.fixture
def machine(s3: S3, flow_for: Callable[..., Flow], tmp_path: Path) -> Callable[..., Flow]:
    """Return a function that makes flows on the bucket, each as if it were on a new machine."""
    numbers = iter(range(100))

    def make(source: Emulator, **given: Any) -> Flow:
        return flow_for(source, data=s3.url, scratch=tmp_path / f"machine-{next(numbers)}", **given)

    return make


def test_day_in_a_store_is_continued_on_another_machine(machine: Callable[..., Flow], s3: S3) -> None:
    """Data and tables are those of a local folder, and a second machine requests nothing but the list of calls."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source)
        assert first.run(DAY).is_complete
        assert_published(first, source.expected_rows())
        written = {key: content for key, content in s3.bucket.contents().items() if "/tables/" in key}
        second = machine(source)
        assert second.run(DAY).is_complete
        assert second.requests_sent == {"call_stats": 1}
        assert_published(second, source.expected_rows())
    keys = s3.bucket.list_keys()
    assert {key.split("/")[1] for key in keys} == {"raw", "tables", "quality_thresholds.csv"}
    assert all(s3.bucket.read(key) == content for key, content in written.items() if not key.endswith("rules"))
    assert first.landing.id() == second.landing.id()
    assert not any(path.suffix == ".parquet" for path in first.settings.data.rglob("*"))


@pytest.mark.slow
def test_machine_without_its_scratch_folder_rebuilds_from_the_store(machine: Callable[..., Flow]) -> None:
    """Tables and database are made of what has landed, without the API."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        machine(source).run(DAY)
    other = machine(source)
    other.rebuild(other.landing.days())
    assert_published(other, source.expected_rows())


@pytest.mark.slow
def test_person_is_forgotten_in_a_store(machine: Callable[..., Flow], s3: S3) -> None:
    """No object names them, and every machine leaves them out from then on."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source)
        first.run(DAY)
        assert any(row for row in published(first, "participant_sessions") if "user-1" in row)
        assert first.forget("user-1") == [DAY]
        second = machine(source)
        second.run(DAY)
        for flow in (first, second):
            assert not any(row for row in published(flow, "participant_sessions") if "user-1" in row)
    assert not any(b"user-1" in content for content in s3.bucket.contents().values())
    assert f"{s3.url.split('/', 3)[3]}/raw/forgotten.json" in s3.bucket.list_keys()


@pytest.mark.slow
def test_day_survives_a_bad_day_of_the_store(machine: Callable[..., Flow], s3: S3) -> None:
    """Refusals, lost acknowledgements and cut connections cost time, and nothing else."""
    faults = [
        Fault("error", "PUT", key="participant_metrics", times=2),
        Fault("late", "PUT", key="participant_sessions", times=1, status=500, code="InternalError"),
        Fault("cut", "GET", times=2),
        Fault("cut", "PUT", key="tables/", times=2),
        Fault("error", "LIST", times=2),
    ]
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        with s3.proxy.suffering(*faults):
            flow = machine(source)
            assert flow.run(DAY).is_complete
        assert flow.requests_sent["participant_metrics"] == 6  # windows
        assert_published(flow, source.expected_rows())
        again = machine(source)
        again.run(DAY)
        assert again.requests_sent == {"call_stats": 1}


@pytest.mark.slow
def test_listing_that_lags_costs_at_most_what_it_hides(machine: Callable[..., Flow], s3: S3) -> None:
    """Windows whose segment is not listed are requested once more, and once it is, nothing is there twice."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source)
        first.run(DAY)
        windows = first.requests_sent["participant_metrics"]
        with s3.proxy.suffering(Fault("hide", "LIST", key="participant_metrics", hidden="participant_metrics")):
            second = machine(source)
            second.run(DAY)
        assert second.requests_sent["participant_metrics"] == windows
        third = machine(source)
        assert third.run(DAY).is_complete
        assert third.requests_sent == {"call_stats": 1}
        assert_published(third, source.expected_rows(), but=("windows", "ingest_completeness_by_call"))


@pytest.mark.slow
def test_complete_day_is_compacted(machine: Callable[..., Flow], s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few objects are left, tables are not built again because of it, and nothing is requested again."""
    monkeypatch.setattr("pipeline.landing.writer.SEGMENT_BYTES", 1)
    with Emulator(world(), clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source, concurrency=1)
        assert first.run(DAY).is_complete
        for endpoint in ENDPOINT_NAMES[1:4]:
            (name,) = first.landing.names(endpoint, DAY)
            assert COMPACTED in name
        assert not first.build_tables(DAY).changed
        second = machine(source)
        assert second.run(DAY).is_complete
        assert second.requests_sent == {"call_stats": 1}
        assert not second.build_tables(DAY).changed
        assert_published(second, source.expected_rows())


def test_incomplete_day_is_not_compacted(machine: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """More of it is still to come."""
    monkeypatch.setattr("pipeline.landing.writer.SEGMENT_BYTES", 1)
    with Emulator(world(), clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source, concurrency=1)
        flow.extract.call_stats(DAY)
        flow.extract.participant_sessions(DAY)
        assert len(flow.landing.names("participant_sessions", DAY)) > MAX_SMALL_SEGMENTS
        assert flow.compact(DAY) == 0


def test_worker_that_is_killed_loses_seconds(s3: S3, machine: Callable[..., Flow], tmp_path: Path) -> None:
    """Another machine with an empty disk finishes the day, and requests at most what had not landed yet."""
    slow = SlowResponse("slow", "participant_metrics", delay_seconds=0.05)
    with Emulator(world(), clock=ManualClock(AFTERWARDS), faults=(slow,)) as source:
        arguments = [s3.url, str(tmp_path / "lost"), source.url, KEY, SECRET, f"{DAY}"]
        with subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE) as worker:
            landed = 0
            for _ in range(600):
                landed = sum("/participant_metrics/" in key for key in s3.bucket.list_keys())
                if landed >= 3 or worker.poll() is not None:
                    break
                time.sleep(0.05)
            worker.send_signal(signal.SIGKILL)
        assert landed >= 3
        second = machine(source)
        before = second.landing.index("participant_metrics", DAY).num_rows
        assert second.run(DAY).is_complete
        assert 0 < before < WINDOWS
        assert second.requests_sent["participant_metrics"] == WINDOWS - before
        assert_published(second, source.expected_rows())


def world() -> World:
    """Return a day of a dozen calls."""
    return uniform_world(DAY, calls=12, people=5, minutes=55, step_seconds=60)


def test_command_line_refuses_a_store_without_a_server_for_turns(s3: S3, tmp_path: Path) -> None:
    """One sentence says what to set, before anything is requested or written."""
    environment = {**os.environ, "CALL_METRICS_DATA": s3.url, "STREAM_API_KEY": "k", "STREAM_API_SECRET": "s"}
    command = [sys.executable, "-m", "pipeline", "status"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CALL_METRICS_WAREHOUSE to ducklake:postgres:" in done.stderr
    assert not s3.bucket.list_keys()


def test_doctor_checks_the_store(s3: S3, tmp_path: Path) -> None:
    """It says that the store can be written and has conditional puts, or what is wrong, in one line."""
    environment = {
        **os.environ,
        "CALL_METRICS_DATA": s3.url,
        "CALL_METRICS_WAREHOUSE": "ducklake:postgres:dbname=none",
        "CALL_METRICS_SCRATCH": str(tmp_path / "scratch"),
    }

    def first_line() -> str:
        command = [sys.executable, "-m", "pipeline", "doctor"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)
        return next(line for line in done.stdout.splitlines() if "data: " in line)

    assert first_line().endswith(f"data: {s3.url} can be written, and has conditional puts")
    with s3.proxy.suffering(Fault("ignore_condition", "PUT")):
        assert "use a store with conditional puts" in first_line()
    environment["CALL_METRICS_DATA"] = "s3://no-such-bucket-here"
    assert "s3://no-such-bucket-here does not exist; create the bucket" in first_line()


def test_each_step_lists_a_folder_once(machine: Callable[..., Flow], s3: S3) -> None:
    """Listing costs more than reading, so a step asks for the names in a folder once."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source)
        for step in (*(getattr(flow.extract, name) for name in DAILY_ENDPOINTS), flow.build_tables, flow.completeness):
            with s3.proxy.counting() as traffic:
                step(DAY)
            folders = [call.key for call in traffic.calls if call.kind == "LIST"]
            assert len(set(folders)) == len(folders) <= len(DAILY_ENDPOINTS)
            assert not any("participant_details" in folder for folder in folders)
