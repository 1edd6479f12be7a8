"""The command line as a user meets it: a process, its exit code, what it prints and what it leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.emulator import KEY, SECRET, Emulator, Fault, Quota, World, uniform_world
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings
from tests.support.flows import assert_published, published

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
DAYS = ("--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}")
SMALL = uniform_world(YESTERDAY, calls=2, people=2, minutes=40, step_seconds=60)
LARGE = uniform_world(YESTERDAY, calls=12, people=5, minutes=55, step_seconds=60)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without any setting, and a working folder of the test's own."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALL_METRICS_DATA": str(tmp_path / "data")}


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `call-metrics`, on an emulator where one is given; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, on: Emulator | None = None, **variables: str) -> subprocess.Popen[str]:
        access = {"STREAM_API_KEY": KEY, "STREAM_API_SECRET": SECRET, "STREAM_BASE_URL": on.url} if on else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment | access | variables,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def held_by(tmp_path: Path) -> Flow:
    return Flow(Settings(api_key=KEY, api_secret=Secret(SECRET), data=tmp_path / "data"))


def test_a_backfill_publishes_what_the_source_has(command: Callable[..., Any], tmp_path: Path) -> None:
    """One command, exit code 0, and the database holds everything; the run is recorded beside it."""
    with Emulator(SMALL) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator))
        assert (code, err) == (0, "")
        assert "complete" in out
        assert "participant_metrics 8" in out
        assert_published(held_by(tmp_path), emulator.expected_rows())
    assert (tmp_path / "data" / "dagster" / "dagster.yaml").exists()


def test_a_killed_backfill_goes_on_where_it_stopped(command: Callable[..., Any], tmp_path: Path) -> None:
    """After SIGKILL at any moment the next run asks for what had not landed, and everything is there once."""
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
        assert_published(held_by(tmp_path), emulator.expected_rows())
        # Two kills: each may repeat what was in flight, and what the last two seconds brought (40 a second).
        assert 120 <= emulator.count("participant_metrics", 200) <= 120 + 2 * (4 + 3 * 40)
        held = [row["user_session_id"] for row in emulator.expected_rows()["participant_sessions"]]
        assert len(held) == len(set(held)) == 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_backfill_lands_what_it_fetched(
    number: signal.Signals, command: Callable[..., Any], tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end within seconds, exit with 1, and lose no answer."""
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
    landed = held_by(tmp_path).landing.index("participant_metrics", YESTERDAY)
    assert landed.num_rows == 30


def test_a_stopped_backfill_publishes_the_days_that_it_finished(command: Callable[..., Any], tmp_path: Path) -> None:
    """Days are published now and then; at the end all that are loaded are, however the end comes."""
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
        assert "1 of 3 days not finished" in err
    assert {row[0] for row in published(held_by(tmp_path), "windows")} == set(days)


def test_two_backfills_at_once_share_the_work(command: Callable[..., Any], tmp_path: Path) -> None:
    """The second waits for the first, then finds nothing left to do; no window is asked for twice."""
    with Emulator(LARGE) as emulator:
        both = [command("backfill", *DAYS, on=emulator) for _ in range(2)]
        codes = [finish(process)[0] for process in both]
        assert codes == [0, 0]
        assert emulator.count("participant_metrics") == 120
        assert_published(held_by(tmp_path), emulator.expected_rows())


def test_a_rebuild_during_a_backfill_waits_its_turn(command: Callable[..., Any], tmp_path: Path) -> None:
    """Both end well, nothing is asked twice, and the database holds everything."""
    with Emulator(LARGE, quotas={"participant_metrics": Quota(60, 1.0)}) as emulator:
        backfill = command("backfill", *DAYS, on=emulator)
        while emulator.count("participant_metrics", 200) < 20:
            time.sleep(0.02)
        rebuild = command("rebuild")
        assert finish(backfill)[0] == 0
        assert finish(rebuild)[0] in (0, 1)  # it may have come before the last windows
        assert emulator.count("participant_metrics", 200) == 120
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        assert_published(held_by(tmp_path), emulator.expected_rows())


def test_wrong_credentials_stop_at_once(command: Callable[..., Any]) -> None:
    """A wrong secret ends the run before anything else is asked, with one sentence and without the secret."""
    with Emulator(SMALL) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator, STREAM_API_SECRET="not-the-secret"))
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "STREAM_API_SECRET" in err
        assert "not-the-secret" not in err
        assert len(emulator.requests) == 1


def test_a_window_that_cannot_be_had_makes_the_exit_code_1(command: Callable[..., Any]) -> None:
    """What is missing is listed, and everything else is there."""
    with Emulator(SMALL, faults=(Fault("unrecoverable", "participant_metrics", times=1),)) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator))
        assert code == 1
        assert f"missing: {YESTERDAY}: 1 window of 1 stay has no final response" in out
        assert "Traceback" not in err
        code, out, _ = finish(command("status"))
        assert code == 1
        assert "incomplete" in out
        code, out, _ = finish(command("status", "--json"))
        assert code == 1
        (day,) = json.loads(out)
        assert (day["day"], day["windows_due"], day["complete"]) == (f"{YESTERDAY}", 1, False)
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        assert finish(command("status"))[0] == 0


def test_status_names_days_that_were_never_asked_for(command: Callable[..., Any]) -> None:
    """From --from to --to every day counts; without them, it says what the source still has of before."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
    before = YESTERDAY - timedelta(days=2)
    code, out, _ = finish(command("status", "--from", f"{before}", "--to", f"{YESTERDAY}"))
    assert code == 1
    assert f"missing: {before}: its call sessions have not been listed yet" in out
    code, out, _ = finish(command("status"))
    assert code == 0
    assert f"to {YESTERDAY - timedelta(days=1)} were never fetched, and the source still lists them" in out


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (("backfill", *DAYS), {}, "set STREAM_API_KEY and STREAM_API_SECRET"),
        (("backfill", "--from", "2026-13-01", "--to", "2026-01-02"), {}, "--from is '2026-13-01'"),
        (("backfill", "--from", "2026-02-02", "--to", "2026-02-01"), {}, "swap them"),
        (("backfill", "--from", "2025-01-01", "--to", "2026-02-01"), {}, "CALL_METRICS_START"),
        (("backfill", "--from", "2026-02-01", "--to", "2999-01-01"), {}, "is in the future"),
        (("backfill",), {}, "--from, --to"),
        (("status",), {"CALL_METRICS_DATE": "x"}, "did you mean CALL_METRICS_DATA?"),
        (("status",), {"CALL_METRICS_CONCURRENCY": "many"}, "CALL_METRICS_CONCURRENCY is 'many'"),
        (("sql", "SELECT 1"), {}, "does not exist yet"),
        (("sql", b"SELECT \xff"), {}, "write it anew"),
        (("forget", "--user", b"\xff"), {}, "write it anew"),
        (("demo", "--days", "1" * 5_000), {}, "no whole number from 1 to 30"),
        (("backfill", *DAYS), {"STREAM_API_KEY": "k", "STREAM_API_SECRET": "s", "HTTPS_PROXY": "x://"}, "HTTPS_PROXY"),
        (("frobnicate",), {}, "invalid choice: 'frobnicate'"),
        (("demo", "--days", "0"), {}, "no whole number from 1 to 30"),
    ],
)
def test_what_cannot_start_says_what_to_do(
    arguments: tuple[str | bytes, ...], variables: dict[str, str], expected: str, command: Callable[..., Any]
) -> None:
    """Usage, settings and dates that cannot be used: exit code 2, one sentence, no traceback."""
    code, out, err = finish(command(*arguments, **variables))
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_the_demo_needs_nothing(command: Callable[..., Any], tmp_path: Path) -> None:
    """No account, no configuration: a database, what landed, a first query's result, and how to look further."""
    code, out, err = finish(command("demo", "--days", "1"))
    assert (code, err) == (0, "")
    for expected in (f"{YESTERDAY}", "ORDER BY fps", "call-metrics ui", str(tmp_path / "data" / "warehouse.duckdb")):
        assert expected in out
    code, out, err = finish(command("sql", "SELECT count(*) FROM metric_points", "--format", "csv"))
    assert int(out.split()[1]) > 10_000
    code, out, err = finish(command("backfill", *DAYS, STREAM_API_KEY="k", STREAM_API_SECRET="s"))
    assert code == 2
    assert "holds the data of the demo" in err


def test_sql_answers_in_every_form_and_can_touch_nothing(command: Callable[..., Any], tmp_path: Path) -> None:
    """Table, CSV, JSON and Parquet; no writing, no other file, no way around that."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
    query = "SELECT call_id, count(*) AS n, min(timestamp) AS first FROM metric_points GROUP BY ALL ORDER BY ALL"
    assert "call_id" in finish(command("sql", query))[1]
    rows = list(csv.DictReader(io.StringIO(finish(command("sql", query, "--format", "csv"))[1])))
    assert [row["call_id"] for row in rows] == [call.call_id for call in SMALL.calls]
    assert [row["n"] for row in json.loads(finish(command("sql", query, "--format", "json"))[1])] == [
        int(row["n"]) for row in rows
    ]
    parquet = tmp_path / "result.parquet"
    with parquet.open("wb") as sink:
        subprocess.run(
            [sys.executable, "-m", "pipeline", "sql", query, "--format", "parquet"],
            stdout=sink,
            check=True,
            env={"CALL_METRICS_DATA": str(tmp_path / "data")},
        )
    assert pq.read_table(parquet).num_rows == len(rows)
    (tmp_path / "other.csv").write_text("a\n1\n")
    for refused in (
        "DELETE FROM call_sessions",
        "CREATE TABLE t (a INT)",
        f"SELECT * FROM '{tmp_path}/other.csv'",
        f"COPY call_sessions TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/new.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT * FROM nowhere",
    ):
        code, out, err = finish(command("sql", refused))
        assert (code, out) == (2, ""), refused
        assert err.startswith("call-metrics: the query cannot be answered"), err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_output_that_cannot_be_written_is_said(form: str, environment: dict[str, str], tmp_path: Path) -> None:
    """A full disk behind `>` is one sentence and exit code 2; a pipe that is closed is nothing to speak of."""
    path = tmp_path / "data" / "warehouse.duckdb"
    path.parent.mkdir()
    duckdb.connect(str(path)).close()
    query = [sys.executable, "-m", "pipeline", "sql", "FROM range(200_000)", "--format", form]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(query, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    with subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_a_rebuild_needs_no_source(command: Callable[..., Any], tmp_path: Path) -> None:
    """Tables and database come again from the raw answers, without credentials."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        (tmp_path / "data" / "warehouse.duckdb").unlink()
        code, out, err = finish(command("rebuild"))
        assert (code, err) == (0, "")
        assert f"{YESTERDAY}: 2 calls" in out
        assert_published(held_by(tmp_path), emulator.expected_rows())


def test_a_reader_neither_blocks_a_backfill_nor_is_blocked(command: Callable[..., Any], tmp_path: Path) -> None:
    """Who holds the published database keeps what they opened, while the next one takes its place."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb")) as reader:
            before = reader.execute("SELECT count(*) FROM metric_points").fetchone()
            code, _, err = finish(command("rebuild"))
            assert (code, err) == (0, "")
            assert reader.execute("SELECT count(*) FROM metric_points").fetchone() == before


def test_forgetting_lists_the_files_that_it_leaves(command: Callable[..., Any], tmp_path: Path) -> None:
    """What was set aside is not looked into; it is named, so that it can be dealt with."""
    path = tmp_path / "data" / "raw" / "call_stats" / f"session_date={YESTERDAY}" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    code, out, err = finish(command("forget", "--user", "ann"))
    (aside,) = path.parent.iterdir()
    assert code == 0
    assert aside.name in err
    assert f"Files that were set aside may still name them, and are yours to deal with: {aside}" in out
    aside.unlink()
    assert "set aside" not in finish(command("forget", "--user", "ann"))[1]


def test_the_doctor_looks_at_everything(command: Callable[..., Any]) -> None:
    """Settings, credentials, network, clock, quotas and timestamps, each in a sentence."""
    with Emulator(SMALL) as emulator:
        code, out, _ = finish(command("doctor", on=emulator))
        assert code == 0
        for subject in ("data", "timestamps", "credentials", "network", "clock", "quotas"):
            assert f"ok    {subject}: " in out
        code, out, _ = finish(command("doctor", on=emulator, STREAM_API_SECRET="wrong"))
        assert code == 2
        assert "FAIL  credentials" in out
    code, out, _ = finish(
        command("doctor", STREAM_API_KEY="a", STREAM_API_SECRET="b", STREAM_BASE_URL="http://127.0.0.1:9")
    )
    assert code == 1
    assert "FAIL  network" in out
    assert finish(command("doctor"))[0] == 2


@pytest.mark.parametrize("server", ["ui", "emulator"])
def test_a_port_that_is_taken_is_said(server: str, command: Callable[..., Any]) -> None:
    """One sentence, and what to choose instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = finish(command(server, "--port", f"{taken.getsockname()[1]}"))
    assert (code, out) == (2, "")
    assert "choose another with --port" in err
    assert err.count("\n") == 1


def test_the_emulator_serves_until_it_is_told_to_stop(command: Callable[..., Any]) -> None:
    """`call-metrics emulator` says where it is, and ends on SIGTERM with exit code 0."""
    process = command("emulator", "--port", "0")
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0
