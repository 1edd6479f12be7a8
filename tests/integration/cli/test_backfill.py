"""`call-metrics backfill`: what it publishes, and how it stops, resumes and fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import Emulator, Quota, World, uniform_world
from tests.support.command_line import DAYS, LARGE, SMALL, YESTERDAY, finish, flow_on
from tests.support.flows import assert_published, published


def test_backfill_publishes_what_the_source_has(command: Callable[..., Any], tmp_path: Path) -> None:
    """One command exits with 0, the database holds everything, and the run is recorded beside it."""
    with Emulator(SMALL) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator))
        assert (code, err) == (0, "")
        assert "complete" in out
        assert "participant_metrics 8" in out
        assert_published(flow_on(tmp_path), emulator.expected_rows())
    assert (tmp_path / "data" / "dagster" / "dagster.yaml").exists()


def test_backfill_resumes_after_being_killed(command: Callable[..., Any], tmp_path: Path) -> None:
    """After SIGKILL at any moment, the next run fetches what had not landed, and everything is stored once."""
    quota = {"participant_metrics": Quota(40, 1.0)}
    with Emulator(LARGE, quotas=quota) as emulator:
        for wanted in (30, 70):
            process = command("backfill", *DAYS, on=emulator, CALL_METRICS_CONCURRENCY="4")
            deadline = time.monotonic() + 30
            while emulator.count("participant_metrics", 200) < wanted and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        code, _, err = finish(command("backfill", *DAYS, on=emulator, CALL_METRICS_CONCURRENCY="4"))
        assert (code, err) == (0, "")
        assert_published(flow_on(tmp_path), emulator.expected_rows())
        # Each of two kills may repeat what was in flight, and the responses of the last two seconds (40 a second).
        assert 120 <= emulator.count("participant_metrics", 200) <= 120 + 2 * (4 + 3 * 40)
        held = [row["user_session_id"] for row in emulator.expected_rows()["participant_sessions"]]
        assert len(held) == len(set(held)) == 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_backfill_lands_what_it_fetched_when_stopped(
    number: signal.Signals, command: Callable[..., Any], tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end a backfill within seconds, with exit code 1 and no response lost."""
    with Emulator(LARGE, quotas={"participant_metrics": Quota(30, 60.0)}) as emulator:
        process = command("backfill", *DAYS, on=emulator)
        while emulator.count("participant_metrics", 200) < 30:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(number)
        code, _, err = finish(process)
        assert code == 1
        assert err.startswith("call-metrics: stopped; everything fetched so far has landed")
        assert "Traceback" not in err
    landed = flow_on(tmp_path).landing.index("participant_metrics", YESTERDAY)
    assert landed.num_rows == 30


def test_backfill_publishes_finished_days_when_stopped(command: Callable[..., Any], tmp_path: Path) -> None:
    """Days are published once a minute; at the end all loaded days are, however the run ends."""
    days = [YESTERDAY - timedelta(days=back) for back in (2, 1)]
    small = (call for day in days for call in uniform_world(day, calls=1, people=2, minutes=5, step_seconds=60).calls)
    world = World((*small, *LARGE.calls))
    with Emulator(world, quotas={"participant_metrics": Quota(30, 60.0)}) as emulator:
        process = command("backfill", "--from", f"{days[0]}", "--to", f"{YESTERDAY}", on=emulator)
        while emulator.count("participant_metrics", 200) < 30:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
        assert code == 1
        assert "1 of 3 days not finished; run the same command again to resume" in err
    assert {row[0] for row in published(flow_on(tmp_path), "windows")} == set(days)


@pytest.mark.slow
def test_backfills_at_the_same_time_share_the_work(command: Callable[..., Any], tmp_path: Path) -> None:
    """The second waits for the first, then finds nothing due; no window is fetched twice."""
    with Emulator(LARGE) as emulator:
        both = [command("backfill", *DAYS, on=emulator) for _ in range(2)]
        codes = [finish(process)[0] for process in both]
        assert codes == [0, 0]
        assert emulator.count("participant_metrics") == 120
        assert_published(flow_on(tmp_path), emulator.expected_rows())


def test_backfill_stops_at_wrong_credentials(command: Callable[..., Any]) -> None:
    """A wrong secret ends the run after one request, with one sentence and without the secret."""
    with Emulator(SMALL) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator, STREAM_API_SECRET="not-the-secret"))
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "STREAM_API_SECRET" in err
        assert "not-the-secret" not in err
        assert len(emulator.requests) == 1
