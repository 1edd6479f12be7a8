"""A worker that is cut off from PostgreSQL while it fetches: it stops soon, and what it fetched has landed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.catalog import LakeCatalog
from pipeline.emulator import KEY, SECRET, Emulator, Quota
from pipeline.errors import FixStorage
from pipeline.extract import heartbeat
from pipeline.flow import Flow
from pipeline.warehouse import postgres as turns
from pipeline.warehouse.published import open_published
from tests.support.command_line import DAYS, LARGE, YESTERDAY, finish
from tests.support.flows import assert_published
from tests.support.network import Relay
from tests.support.postgres import Database

WINDOWS = 12 * 5 * 2
"""Windows of `LARGE`."""

IMPATIENT = """
import sys
from pipeline.extract import heartbeat
from pipeline.landing import writer
heartbeat.BEAT_SECONDS = writer.SEGMENT_SECONDS = 0.1
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def source() -> Iterator[Emulator]:
    """Yield the API, with a quota that makes the windows last a quarter of a minute."""
    with Emulator(LARGE, quotas={"participant_metrics": Quota(8, 1.0)}) as emulator:
        yield emulator


def wait_for_windows(source: Emulator, count: int) -> None:
    """Wait until the source has answered so many windows."""
    for _ in range(1200):
        if source.count("participant_metrics", 200) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError


def assert_finished_by(second: Flow, source: Emulator) -> None:
    """Assert that another run requests exactly what has not landed, and then has everything once."""
    landed = second.landing.index("participant_metrics", YESTERDAY).num_rows
    assert 0 < landed < WINDOWS / 2
    assert not second.lake.has("windows", YESTERDAY)
    source.set_quota("participant_metrics", Quota(10_000, 60.0))
    before = source.count("participant_metrics", 200)
    assert second.run(YESTERDAY).is_complete
    assert source.count("participant_metrics", 200) - before == WINDOWS - landed
    assert_published(second, source.expected_rows())


@pytest.mark.timeout(120)
def test_worker_whose_connection_is_ended_stops_long_before_its_windows_are_through(
    source: Emulator, database: Database, flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """It says so in one sentence, publishes nothing, and the next run requests only the rest."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PGPASSWORD": os.environ["PGPASSWORD"],
        "CALL_METRICS_DATA": str(tmp_path / "data"),
        "CALL_METRICS_WAREHOUSE": database.setting(),
        "STREAM_API_KEY": KEY,
        "STREAM_API_SECRET": SECRET,
        "STREAM_BASE_URL": source.url,
    }
    command = [sys.executable, "-c", IMPATIENT, "backfill", *DAYS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    worker = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[3], text=True, **pipes)
    try:
        wait_for_windows(source, 10)
        assert database.cut_off()
        code, out, err = finish(worker)
    finally:
        worker.kill()
        worker.communicate()
    assert code != 0
    assert f"and with it the turn on {YESTERDAY}; nothing is half published, run again to go on" in out + err
    assert "Traceback" not in out + err
    assert_finished_by(flow_for(source, warehouse_file=database.setting()), source)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_worker_that_is_cut_off_in_silence_stops_too(
    source: Emulator, database: Database, flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is as good as an error, after some seconds."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(turns, "ANSWER_SECONDS", 0.5)
    with Relay(database.port) as relay:
        first = flow_for(source, warehouse_file=Database(relay.port, database.name).setting())
        cut = threading.Thread(target=lambda: (wait_for_windows(source, 10), relay.be_silent()))
        cut.start()
        with pytest.raises(FixStorage, match=f"was lost, and with it the turn on {YESTERDAY}; nothing is half"):
            first.run(YESTERDAY)
        cut.join()
        relay.end_connections()
        assert_finished_by(flow_for(source, warehouse_file=database.setting()), source)


def test_waiting_for_a_turn_ends_when_the_network_is_silent(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence."""
    with Relay(database.port) as relay:
        catalog = Database(relay.port, database.name).catalog(tmp_path)
        waiting = turns.PostgresTurns(catalog, "data")
        with turns.PostgresTurns(database.catalog(tmp_path), "data").of_day(YESTERDAY):
            monkeypatch.setattr(turns, "ANSWER_SECONDS", 0.5)
            threading.Timer(0.5, relay.be_silent).start()
            with pytest.raises(FixStorage, match=r"cannot be used .*; fix it and run again"), waiting.of_day(YESTERDAY):
                pass


@pytest.mark.timeout(60)
def test_server_that_takes_connections_and_says_nothing_is_one_sentence(database: Database, tmp_path: Path) -> None:
    """For workers and readers, after the time that libpq waits for a connection."""
    with Relay(database.port) as relay:
        relay.be_silent()
        silent = Database(relay.port, database.name)
        catalog = LakeCatalog.parse(silent.setting(connect_timeout="2"), tmp_path)
        with pytest.raises(FixStorage, match=r"timeout expired.*; fix it and run again") as refused:
            open_published(catalog)
        assert "\n" not in str(refused.value)
        with (
            pytest.raises(FixStorage, match=r"timeout expired.*; fix it and run again"),
            turns.PostgresTurns(catalog, "data").of_day(YESTERDAY),
        ):
            pass


def test_connections_to_postgres_have_time_limits(database: Database, tmp_path: Path) -> None:
    """Those of the setting count more, and both ways of writing it work."""
    mine = LakeCatalog.parse(database.setting(connect_timeout="3"), tmp_path)
    assert str(mine.patient_postgres).count("connect_timeout") == 1
    assert "tcp_user_timeout=30000" in str(mine.patient_postgres)
    url = f"ducklake:postgres:postgresql://writer@127.0.0.1:{database.port}/{database.name}"
    for ending in ("", "?connect_timeout=3"):
        by_url = LakeCatalog.parse(url + ending, tmp_path)
        assert str(by_url.patient_postgres).count("?") == 1
        with turns.PostgresTurns(by_url, "data").of_day(YESTERDAY) as still_mine:
            still_mine()
