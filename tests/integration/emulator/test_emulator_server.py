"""The emulator as a server: starting, stopping, logging, its own process, and the official SDK as a client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from pipeline.emulator import Emulator, ManualClock, StaySpec, World, make_world, odd_world, skewed
from tests.integration.emulator.emulator_reader import DAY, SMALL, SMALL_STAY, Reader, at, small_world

CLOCK = ManualClock(DAY + timedelta(days=4))
ROOT = Path(__file__).parents[3]


def test_official_sdk_reads_a_world_end_to_end() -> None:
    """Stream's own client gets the expected calls, participants and series."""
    sdk = pytest.importorskip("getstream")
    world = odd_world(DAY.date(), days=1, scale=0)
    chosen = [call for call in world.calls if call.call_id in ("two-windows", "a/b?c#d%25e", "rejoins")]
    world = World(tuple(chosen))
    found, stays = set(), set()
    with Emulator(world, clock=CLOCK) as emulator:
        client = sdk.Stream(api_key=emulator.key, api_secret=emulator.secret, base_url=emulator.url)
        with client, client.video as video:
            filter_ = {"session_started_at": {"$gte": DAY.isoformat(), "$lt": (DAY + timedelta(days=1)).isoformat()}}
            sort = [sdk.models.SortParamRequest(field="session_started_at", direction=1)]
            for call in video.query_call_session_stats(limit=100, sort=sort, filter_conditions=filter_).data.call_stats:
                ids = (call.call_type, call.call_id, call.call_session_id)
                for stay in video.query_call_participant_sessions(*ids, limit=100).data.participants_sessions:
                    stays.add((*ids, stay.user_id, stay.user_session_id, stay.joined_at, stay.left_at))
                    since = stay.joined_at
                    while since < stay.left_at:
                        until = min(since + timedelta(minutes=30), stay.left_at)
                        response = video.get_call_participant_session_metrics(
                            *ids, stay.user_id, stay.user_session_id, since=since, until=until
                        ).data
                        for track in response.published_tracks:
                            for time_, value in track.bitrate.data_points:
                                found.add((*ids, stay.user_session_id, track.track_id, time_, value))
                        since = until
            limits = client.get_rate_limits(server_side=True).data.server_side
        expected = emulator.expected_rows()
    names = ("call_type", "call_id", "call_session_id")
    assert len(stays) == 2 + 1 + 4
    assert stays == {
        tuple(row[name] for name in (*names, "user_id", "user_session_id", "joined_at", "left_at"))
        for row in expected["participant_sessions"]
    }
    assert found == {
        (*(row[name] for name in (*names, "user_session_id", "track_id")), row["timestamp"].timestamp(), row["value"])
        for row in expected["metric_points"]
        if row["metric"] == "bitrate"
    }
    assert limits["GetCallParticipantSessionMetrics"].limit == 60_000


def test_requests_are_logged_with_their_parameters() -> None:
    """Ids are decoded, bounds are as received; counts are by endpoint and status."""
    with Emulator(small_world(), clock=CLOCK) as emulator, Reader(emulator) as reader:
        reader.window(SMALL_STAY, at(10), at(10, 30))
        reader.window(SMALL_STAY, at(10), at(10))
        reader.attendance(SMALL)
        reader.client.get("/elsewhere")
        first, second, *_ = emulator.requests
        assert (first.endpoint, first.status, first.at) == ("participant_metrics", 200, CLOCK())
        assert tuple(first.ids.values()) == SMALL_STAY
        assert (first.since, first.until) == ("2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z")
        assert second.status == 400
        assert [emulator.count("participant_metrics"), emulator.count("participant_metrics", 200)] == [2, 1]
        assert [emulator.count(), emulator.count(status=404), emulator.count("unknown")] == [4, 1, 1]
        emulator.clear_requests()
        assert (emulator.count(), emulator.requests) == (0, [])


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (2, 2), (None, 5)])
def test_request_log_can_be_bounded(size: int | None, kept: int) -> None:
    """Requests are counted even if none is kept."""
    with Emulator(small_world(), clock=CLOCK, max_logged_requests=size) as emulator, Reader(emulator) as reader:
        for _ in range(5):
            reader.attendance(SMALL)
        assert (len(emulator.requests), emulator.count("participant_sessions")) == (kept, 5)


def test_emulator_can_be_started_again_after_a_stop() -> None:
    """Ten rounds of start, request and stop work, and the port is free after each."""
    emulator = Emulator(small_world(), clock=CLOCK)
    for _ in range(10):
        with emulator, Reader(emulator) as reader:
            assert reader.attendance(SMALL).status_code == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", emulator.port)).close()
    emulator.stop()


def test_start_fails_if_running_or_if_the_port_is_taken() -> None:
    """Both raise an error at once."""
    with Emulator(small_world(), clock=CLOCK) as emulator:
        with pytest.raises(RuntimeError, match="running already"):
            emulator.start()
        with pytest.raises(OSError, match="in use"):
            Emulator(small_world(), port=emulator.port).start()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no second loopback address")
def test_emulator_listens_on_loopback_only() -> None:
    """No other machine can reach it."""
    with Emulator(small_world()) as emulator:
        assert emulator.url == f"http://127.0.0.1:{emulator.port}"
        other = socket.socket()
        with other:
            # The same port on every other address is still free, so it is not bound there.
            other.bind(("127.0.0.2", emulator.port))


def test_emulators_in_one_process_are_independent() -> None:
    """Each has its own world, port and counts."""
    with Emulator(small_world(), clock=CLOCK) as one, Emulator(World(()), clock=CLOCK) as two:
        with Reader(one) as first, Reader(two) as second:
            assert [len(reader.all_calls()) for reader in (first, second, second)] == [1, 0, 0]
        assert (one.count(), two.count()) == (1, 2)


def test_skewed_clock_shows_in_the_date_header() -> None:
    """The clock is an hour fast, and runs."""
    with Emulator(small_world(), clock=skewed(timedelta(hours=1))) as emulator, Reader(emulator) as reader:
        # A token without times is good at any hour.
        date = reader.calls().headers["date"]
    assert 3590 < parsedate_to_datetime(date).timestamp() - time.time() < 3610


@pytest.mark.parametrize("kind", ["demo", "odd", "uniform"])
def test_make_world_has_the_days_before_today(kind: str) -> None:
    """The newest day is yesterday; only the demo also has calls today."""
    world = make_world(kind, DAY.date(), 2, 0)
    days = {call.started_at.date() for call in world.calls}
    wanted = {DAY.date() - timedelta(days=back) for back in ((0, 1, 2) if kind == "demo" else (1, 2))}
    assert days == wanted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_announces_its_address_and_ends_cleanly(number: int) -> None:
    """It writes one line of JSON when ready, and exits with 0 on SIGTERM and Ctrl-C."""
    command = [sys.executable, "-m", "pipeline.emulator", "--world", "uniform", "--days", "1", "--today", "2026-03-03"]
    command += ["--quota", "participant_metrics=1/1000000000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert set(ready) == {"url", "key", "secret"}
            response = httpx.get(f"{ready['url']}/api/v2/rate_limits", params={"api_key": ready["key"]})
            assert response.json()["code"] == 5
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
        finally:
            process.kill()


def test_process_reports_a_taken_port_in_one_sentence() -> None:
    """It exits with 2 and without a traceback."""
    with Emulator(World(())) as emulator:
        command = [sys.executable, "-m", "pipeline.emulator", "--world", "uniform", "--days", "1"]
        done = subprocess.run(
            [*command, "--port", str(emulator.port)], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
        )
    assert done.returncode == 2
    assert done.stderr == f"cannot listen on port {emulator.port}: Address already in use\n"


def test_package_imports_nothing_else_of_the_project() -> None:
    """A misreading in the client cannot be repeated by the emulator that tests it."""
    files = (ROOT / "pipeline" / "emulator").rglob("*.py")
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files}
    code = f"import sys, importlib; [importlib.import_module(name) for name in {sorted(modules)}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert {name for name in done.stdout.split() if name.startswith("pipeline")} == modules | {"pipeline"}


def test_two_stays_of_one_user_are_separate() -> None:
    """The user id alone does not identify a stay."""
    stays = (StaySpec("ann", "one", at(10), at(10, 5)), StaySpec("ann", "two", at(10), at(10, 9)))
    with Emulator(small_world(participants=stays), clock=CLOCK) as emulator, Reader(emulator) as reader:
        document = reader.window((*SMALL, "ann", "two"), at(10), at(10, 30)).json()
    assert document["user_session_id"] == "two"
