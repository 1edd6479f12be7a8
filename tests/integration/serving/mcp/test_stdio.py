"""The MCP server on standard input and output, asked by the SDK's own client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.emulator import Emulator, World, uniform_world
from pipeline.flow import Flow
from pipeline.schema import TABLES
from tests.support import DAY
from tests.support.assistants import (
    HOSTILE,
    MUCH_MEMORY,
    SLOW,
    UNINTERRUPTIBLE,
    call_of_two,
    publish,
    refusal,
    run,
    started,
    values,
)


def files(folder: Path) -> dict[str, int]:
    """Return every file and folder with the time of its last change."""
    return {f"{path}": path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("lake", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["file", "lake"])
def test_assistant_reads_everything(lake: bool, tmp_path: Path) -> None:
    """Tables with comments, rows, a call's report; the data folder stays as it is."""
    data = tmp_path / "data"
    place = publish(call_of_two(), data, lake=lake)
    before = files(data)

    async def scenario() -> None:
        async with started(data, **({"CALL_METRICS_WAREHOUSE": f"{place}"} if lake else {})) as client:
            assert "unclassified" in client.instructions
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "list_tables", "query", "call_report", "day_status"
            }  # fmt: skip
            found = await values(client, "list_tables")
            tables = {table["name"]: table for table in found["tables"]}
            assert (found["first_day"], found["last_day"]) == (f"{DAY}", f"{DAY}")
            assert set(TABLES) < set(tables)
            assert tables["participant_sessions"]["rows"] == 2
            assert tables["track_quality"]["kind"] == "view"
            for table in tables.values():
                assert table["comment"]
                assert all(column["comment"] for column in table["columns"]), table["name"]
            rows = await values(client, "query", sql="SELECT user_id FROM participant_sessions ORDER BY ALL")
            assert rows["rows"] == [["ann"], ["ben"]]
            report = await values(client, "call_report", session="s1")
            assert [person["user_id"] for person in report["people"]] == ["ann", "ben"]
            assert report["problems"]
            assert report["people"][0]["lost_time"][0]["state"] == "failed"
            assert report["people"][0]["warnings"][0]["count"] == 1
            assert "192.0.2.7" not in f"{report}"
            assert len((await values(client, "call_report", session="s1", user="ben"))["people"]) == 1
            page = await client.read_resource("call-metrics://tables/windows")
            assert "| `since` |" in page.contents[0].text
            overview = await client.read_resource("call-metrics://tables")
            assert "`call_quality` (view)" in overview.contents[0].text

    run(scenario)
    assert files(data) == before


def test_status_of_days(tmp_path: Path, settings_for: Callable[..., Any], flow_for: Callable[..., Flow]) -> None:
    """It is what `call-metrics status --json` prints."""
    world: World = uniform_world(DAY, calls=2, people=2, minutes=40, step_seconds=60)
    with Emulator(world) as source:
        flow_for(source).run(DAY)

    async def scenario() -> None:
        async with started(tmp_path / "data") as client:
            (day,) = (await values(client, "day_status", first_day=f"{DAY}"))["days"]
            assert (day["calls"], day["stays_held"], day["call_sessions"]) == (2, 4, [])
            (day,) = (await values(client, "day_status", first_day=f"{DAY}", with_calls=True))["days"]
            assert len(day["call_sessions"]) == 2
            days = (await values(client, "day_status", first_day="2026-10-30", last_day=f"{DAY}"))["days"]
            assert [found["day"] for found in days] == ["2026-10-30", "2026-10-31", "2026-11-01"]
            assert days[0]["problems"]

    run(scenario)


def test_mistakes_get_one_sentence(tmp_path: Path) -> None:
    """Unknown calls, users, tables and tools, wrong dates and numbers, and hostile queries."""
    publish(call_of_two(), tmp_path / "data")

    async def scenario() -> None:
        async with started(tmp_path / "data") as client:
            assert "no call session 'zz'; there are 's1'" in await refusal(client, "call_report", session="zz")
            assert "no user 'x'" in await refusal(client, "call_report", session="s1", user="x")
            assert "there is no table 'window'; there are windows" in await refusal(
                client, "list_tables", tables=["window"]
            )
            assert "first_day is '1 May'; write a date" in await refusal(client, "day_status", first_day="1 May")
            assert "swap them" in await refusal(client, "day_status", first_day="2026-11-02", last_day="2026-11-01")
            assert "in the future" in await refusal(client, "day_status", first_day="2999-01-01")
            assert "at most 31" in await refusal(client, "day_status", first_day="2026-01-01", last_day="2026-11-01")
            assert "max_rows: " in await refusal(client, "query", sql="SELECT 1", max_rows=10_001)
            assert "sql: Field required" in await refusal(client, "query")
            assert "no_such_tool" in await refusal(client, "no_such_tool")
            for query in (*HOSTILE.values(), MUCH_MEMORY):
                sentence = await refusal(client, "query", sql=query)
                assert f"{tmp_path}" not in sentence
            assert (await values(client, "query", sql="SELECT 1"))["rows"] == [[1]]

    run(scenario)


def test_missing_database_gets_one_sentence(tmp_path: Path) -> None:
    """The server starts all the same, and reads the database as soon as there is one, and the next one after it."""
    data = tmp_path / "data"

    async def scenario() -> None:
        async with started(data) as client:
            assert "does not exist yet" in await refusal(client, "list_tables")
            assert "does not exist yet" in await refusal(client, "query", sql="SELECT 1")
            assert "does not exist yet" in await refusal(client, "call_report", session="s1")
            count = "SELECT count(*) FROM participant_sessions"
            world = call_of_two()
            publish(world, data)
            assert (await values(client, "query", sql=count))["rows"] == [[2]]
            world.stay("cem")
            (data / "writer.duckdb.published").unlink()  # so that it is built again
            publish(world, data)
            assert (await values(client, "query", sql=count))["rows"] == [[3]]

    run(scenario)


def test_slow_queries_are_ended(tmp_path: Path) -> None:
    """DuckDB cannot interrupt the one of them, so its process is ended. The next query is answered."""
    publish(call_of_two(), tmp_path / "data")

    async def scenario() -> None:
        async with started(tmp_path / "data", "--seconds", "1") as client:
            for query in (UNINTERRUPTIBLE, SLOW["endless join"]):
                sentence = await refusal(client, "query", sql=query)
                assert "took longer than 1 seconds" in sentence or "memory" in sentence
            assert (await values(client, "query", sql="SELECT 2"))["rows"] == [[2]]

    run(scenario)


def test_slow_queries_block_nobody(tmp_path: Path) -> None:
    """Others are answered meanwhile, long before the slow ones are ended."""
    publish(call_of_two(), tmp_path / "data")

    async def scenario() -> None:
        async with started(tmp_path / "data", "--seconds", "100") as client, anyio.create_task_group() as group:
            for query in (UNINTERRUPTIBLE, SLOW["endless join"]):
                group.start_soon(lambda sql: client.call_tool("query", {"sql": sql}), query)
            with anyio.fail_after(60):
                assert (await values(client, "query", sql="SELECT 1"))["rows"] == [[1]]
            group.cancel_scope.cancel()

    run(scenario)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None], ids=["SIGTERM", "SIGINT", "end of input"])
def test_server_ends_cleanly(end: signal.Signals | None, tmp_path: Path) -> None:
    """Standard output has the protocol and nothing else; the exit code is 0, and no process is left."""
    publish(call_of_two(), tmp_path / "data")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": f"{tmp_path}", "CALL_METRICS_DATA": f"{tmp_path / 'data'}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(
            '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
            '"clientInfo":{"name":"test","version":"1"}}}\n'
        )
        process.stdin.flush()
        assert '"serverInfo"' in process.stdout.readline()
        if end is None:
            process.stdin.close()
            process.stdin = None
        else:
            process.send_signal(end)
        assert process.wait(timeout=20) == 0
        assert (process.stdout.read(), process.stderr.read() if process.stderr else "") == ("", "")
    finally:
        process.kill()
        process.communicate()


def test_missing_sdk_says_what_to_install(tmp_path: Path) -> None:
    """One sentence has the command that installs it; the exit code is 2."""
    without = "import sys; sys.modules['mcp'] = None; from pipeline.cli import main; sys.exit(main(['mcp']))"
    done = subprocess.run(
        [sys.executable, "-c", without],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": f"{tmp_path}", "CALL_METRICS_DATA": f"{tmp_path / 'data'}"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'call-metrics[mcp]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_commands_do_not_import_the_sdk() -> None:
    """It would make each of them slower to start."""
    code = "import sys, pipeline.cli, pipeline.cli.status; print(sorted({'mcp'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
