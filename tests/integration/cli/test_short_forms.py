"""Short forms of commands (what is due, --last, a dry run, the worst calls), and the commands init and diff."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cli.dates import days_to_run, last_days
from pipeline.cli.diff import print_differences
from pipeline.cli.due import due_days
from pipeline.cli.estimate import print_estimate
from pipeline.cli.worst import print_worst
from pipeline.emulator import KEY, SECRET, Emulator, uniform_world
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.settings import Settings
from tests.support.command_line import SMALL, YESTERDAY, finish

TODAY = datetime.now(UTC).date()


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def test_due_are_the_last_days_and_what_older_ones_lack(flow_for: Callable[..., Flow]) -> None:
    """An older day that is complete is not due. One that never landed is, if the source may still know it."""
    last = [days_ago(back) for back in (3, 2, 1)]
    with Emulator(uniform_world(days_ago(5), calls=1, people=2, minutes=5, step_seconds=60)) as emulator:
        flow = flow_for(emulator, start=days_ago(5))
        flow.run(days_ago(5))
        assert due_days(flow.settings) == [days_ago(4), *last]
        flow.run(days_ago(4))
        assert due_days(flow.settings) == last
    old = flow.settings.model_copy(update={"start": days_ago(200)})
    assert days_ago(91) not in due_days(old)
    assert days_ago(89) in due_days(old)


def test_last_days_end_today_and_begin_at_the_start(
    settings_for: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """`--last 7d` is seven days before today, and today. Other spans are refused."""
    with Emulator(SMALL) as emulator:
        settings = settings_for(emulator, start=days_ago(400))
    assert last_days("7d", settings) == [days_ago(back) for back in range(7, -1, -1)]
    assert last_days("2w", settings)[0] == days_ago(14)
    assert not caplog.messages
    late = settings.model_copy(update={"start": days_ago(3)})
    assert last_days("7d", late)[0] == days_ago(3)
    assert caplog.messages == [f"--last 7d begins on {days_ago(3)}, which is CALL_METRICS_START"]
    assert days_to_run(f"{days_ago(2)}", None, settings) == [days_ago(2), days_ago(1), TODAY]
    for wrong in ("7", "d", "0d", "7 d", "-1d", "٧d", "7h"):
        with pytest.raises(FixSettings, match="write it like 7d or 2w"):
            last_days(wrong, settings)
    with pytest.raises(FixSettings, match="is in the future"):
        days_to_run(f"{days_ago(-1)}", None, settings)


@pytest.mark.slow
def test_dry_run_says_what_a_backfill_then_requests(
    flow_for: Callable[..., Flow], capsys: pytest.CaptureFixture[str]
) -> None:
    """It sends nothing. The days are estimated from the one that has landed, which is like them."""
    days = [days_ago(back) for back in (4, 3, 2)]
    worlds = [uniform_world(day, calls=3, people=4, minutes=50, step_seconds=60) for day in days]
    world = dataclasses.replace(worlds[0], calls=tuple(call for one in worlds for call in one.calls))
    with Emulator(world) as emulator:
        flow = flow_for(emulator, start=days[0])
        with pytest.raises(FixSettings, match="nothing was ever fetched"):
            print_estimate(flow.settings, days)
        flow.run(days[0])
        before = flow.requests_sent
        assert print_estimate(flow.settings, days) == 0
        out = capsys.readouterr().out
        assert flow.requests_sent == before
        for day in days[1:]:
            flow.run(day)
        sent = sum(flow.requests_sent.values()) - sum(before.values())
        assert f"about {sent} requests, less than a minute at the quotas" in out
        assert f"{days[0]}" not in out
        assert print_estimate(flow.settings, days) == 0
        assert "nothing is due" in capsys.readouterr().out


def test_backfill_refuses_two_ways_to_say_when(command: Callable[..., Any]) -> None:
    """--last stands alone."""
    code, out, err = finish(command("backfill", "--last", "7d", "--from", f"{YESTERDAY}"))
    assert (code, out) == (2, "")
    assert err == "call-metrics: --last stands instead of --from and --to; give one or the other\n"


def test_backfill_without_dates_runs_what_is_due(command: Callable[..., Any]) -> None:
    """A process that is given no date fetches yesterday and the days before it since CALL_METRICS_START."""
    with Emulator(SMALL) as emulator:
        code, out, err = finish(command("backfill", on=emulator, CALL_METRICS_START=f"{days_ago(2)}"))
    assert code == 0, err
    assert f"{YESTERDAY}" in out
    assert f"{days_ago(2)}" in out
    assert f"{TODAY}" not in out


def test_report_without_a_session_lists_the_worst_calls(
    flow_for: Callable[..., Flow], capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the newest day, the one with the largest share of poor publishers first, with the command for it."""
    with Emulator(SMALL) as emulator:
        flow = flow_for(emulator)
        with pytest.raises(FixStorage, match="does not exist yet"):
            print_worst(flow.settings)
        flow.run(YESTERDAY)
    assert print_worst(flow.settings) == 0
    out = capsys.readouterr().out
    assert f"worst calls of {YESTERDAY}" in out
    for call in SMALL.calls:
        assert f"{call.call_type}:{call.call_id}" in out
    session = out.rpartition("call-metrics report ")[2].removesuffix("`.\n")
    assert session in {call.call_session_id for call in SMALL.calls}


@pytest.fixture
def init(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `call-metrics init` with answers."""
    del environment["CALL_METRICS_DATA"]

    def run(*answers: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline", "init"],
            input="".join(f"{line}\n" for line in answers),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=60,
        )

    return run


def test_init_writes_a_file_that_doctor_accepts(init: Callable[..., Any], tmp_path: Path) -> None:
    """Questions and answers make a .env that only its owner can read. An empty answer changes nothing."""
    file = tmp_path / ".env"
    with Emulator(SMALL) as emulator:
        file.write_text(f"# ours\nSTREAM_BASE_URL={emulator.url}\n")
        ended = init(KEY, SECRET, "kept", "yesterday", "2026-02-01")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "ok    credentials" in ended.stdout
        assert SECRET not in ended.stdout
        assert "write a date as YYYY-MM-DD" in ended.stdout
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        settings = Settings.load({}, tmp_path)
        assert (settings.api_key, settings.start) == (KEY, date(2026, 2, 1))
        assert settings.data == tmp_path / "kept"
        assert file.read_text().startswith("# ours\n")
        before = file.read_text()
        assert init("", "", "", "").returncode == 0
        assert file.read_text() == before


def test_init_keeps_the_address_that_it_examined(
    init: Callable[..., Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """An address in the environment, such as the emulator's, is not lost in the next terminal."""
    with Emulator(SMALL) as emulator:
        environment["STREAM_BASE_URL"] = emulator.url
        assert init(KEY, SECRET, "kept", "2026-02-01").returncode == 0
        assert Settings.load({}, tmp_path).base_url == emulator.url


def test_init_that_is_not_answered_leaves_the_file(init: Callable[..., Any], tmp_path: Path) -> None:
    """Without a terminal and without answers there is one sentence."""
    ended = init("only a key")
    assert ended.returncode == 2
    assert "not all questions were answered" in ended.stderr
    assert not (tmp_path / ".env").exists()


@pytest.fixture
def folder(flow_for: Callable[..., Flow]) -> Path:
    """Return a data folder with a day."""
    with Emulator(SMALL) as emulator:
        flow = flow_for(emulator)
        flow.run(YESTERDAY)
    return flow.settings.data


def test_diff_finds_what_differs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder equals its copy and its database. Rows, tables and columns that differ are named, by day."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert print_differences(f"{folder}", f"{copy}", [], as_json=False) == 0
    assert "the same: " in capsys.readouterr().out
    assert print_differences(f"{folder}", f"{copy / 'warehouse.duckdb'}", [], as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == []
    other = tmp_path / "other.duckdb"
    shutil.copyfile(folder / "warehouse.duckdb", other)
    with duckdb.connect(str(other)) as database:
        database.execute("UPDATE participant_sessions SET country = 'XX'")
        database.execute("DELETE FROM track_warnings; DROP TABLE incident_calls CASCADE")
    assert print_differences(f"{folder}", f"{other}", [], as_json=False) == 1
    out = capsys.readouterr().out
    stays = len(SMALL.calls) * 2
    counts = f"{stays} rows in A, {stays} in B; {stays} only in A, {stays} only in B"
    assert f"participant_sessions {YESTERDAY}: {counts}" in out
    assert "incident_calls: not in B" in out
    assert "the same: call_sessions" in out
    assert print_differences(f"{folder}", f"{other}", ["country"], as_json=True) == 1
    assert "participant_sessions" not in {row["table"] for row in json.loads(capsys.readouterr().out)}


def test_diff_compares_a_lake(
    folder: Path, flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A DuckLake that is made from a folder equals it: its files are where the settings say."""
    lake = f"ducklake:{folder.parent}/catalog.ducklake"
    with Emulator(SMALL) as emulator:
        flow_for(emulator, warehouse_file=lake).load([YESTERDAY])
    monkeypatch.setenv("CALL_METRICS_DATA", str(folder))
    monkeypatch.chdir(folder.parent)
    assert print_differences(f"{folder}", lake, [], as_json=False) == 0
    assert "the same: " in capsys.readouterr().out


def test_diff_refuses_what_is_not_ours(folder: Path, tmp_path: Path) -> None:
    """A missing path, a folder without tables, a broken file and an unknown column have a sentence each."""
    (tmp_path / "broken.duckdb").write_bytes(b"no database" * 1000)
    (tmp_path / "empty").mkdir()
    for other, ignored, words in (
        ("nowhere", [], "does not exist"),
        ("empty", [], "is not a data folder"),
        ("broken.duckdb", [], "broken"),
        (folder.name, ["colour"], "no table has a column 'colour'"),
    ):
        with pytest.raises((FixSettings, FixStorage), match=words):
            print_differences(f"{folder}", f"{tmp_path / other}", ignored, as_json=False)
