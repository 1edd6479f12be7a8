"""Commands without a module of their own: sql, forget, ui, dashboard, emulator, completion."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.emulator import Emulator
from tests.support.command_line import DAYS, SMALL, YESTERDAY, finish


def test_sql_prints_every_format_and_changes_nothing(command: Callable[..., Any], tmp_path: Path) -> None:
    """A result is a table, CSV, JSON or Parquet. A query cannot write, and cannot read another file."""
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
        assert err.startswith("call-metrics: the query failed"), err
    assert not (tmp_path / "out.csv").exists()


def test_sql_accepts_a_query_that_starts_with_a_comment(command: Callable[..., Any], tmp_path: Path) -> None:
    """Two dashes and a text are a comment, not an option."""
    (tmp_path / "data").mkdir()
    duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb")).close()
    code, out, err = finish(command("sql", "--format", "csv", "-- a number\nSELECT 42 AS n"))
    assert (code, out.split(), err) == (0, ["n", "42"], "")


def test_sql_refuses_an_empty_query(command: Callable[..., Any]) -> None:
    """It would print nothing, and look like success."""
    assert finish(command("sql", " ")) == (
        2,
        "",
        'call-metrics: the query is empty; write one, such as "SUMMARIZE metric_points"\n',
    )


def test_forget_refuses_a_folder_without_data(command: Callable[..., Any], tmp_path: Path) -> None:
    """With a wrong data folder, no one may believe that a person was erased. Nothing is created there."""
    code, out, err = finish(command("forget", "--user", "ann", CALL_METRICS_DATA=f"{tmp_path}/typo"))
    assert (code, out) == (2, "")
    assert f"nothing has landed under {tmp_path}/typo; set CALL_METRICS_DATA" in err
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_forget_says_if_it_is_not_finished(command: Callable[..., Any], tmp_path: Path) -> None:
    """Whatever stops it, the sentence says that the user is not erased yet."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
    (tmp_path / "data" / "quality_thresholds.csv").write_text("nonsense\n")
    code, out, err = finish(command("forget", "--user", "user-000"))
    assert (code, out) == (2, "")
    assert err.endswith("; the user is not erased yet: then run `forget` again\n")


def test_forget_lists_quarantined_files(command: Callable[..., Any], tmp_path: Path) -> None:
    """Quarantined files are not searched; `forget` names them, so that someone can deal with them."""
    path = tmp_path / "data" / "raw" / "call_stats" / f"session_date={YESTERDAY}" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    code, out, err = finish(command("forget", "--user", "ann"))
    (quarantined,) = path.parent.iterdir()
    assert code == 0
    assert quarantined.name in err
    assert f"Quarantined files may still name them, and are yours to deal with: {quarantined}" in out
    quarantined.unlink()
    assert "Quarantined" not in finish(command("forget", "--user", "ann"))[1]


@pytest.mark.parametrize("server", ["ui", "emulator"])
def test_port_in_use_is_refused(server: str, command: Callable[..., Any]) -> None:
    """One sentence says so, and what to choose instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = finish(command(server, "--port", f"{taken.getsockname()[1]}"))
    assert (code, out) == (2, "")
    assert "choose another with --port" in err
    assert err.count("\n") == 1


def test_emulator_serves_until_sigterm(command: Callable[..., Any]) -> None:
    """`call-metrics emulator` prints its address, and ends on SIGTERM with exit code 0."""
    process = command("emulator", "--port", "0")
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0


def test_dashboard_without_streamlit_says_what_to_install(environment: dict[str, str], tmp_path: Path) -> None:
    """One sentence names the extra."""
    hidden = "import sys; sys.modules['streamlit'] = None; from pipeline.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "dashboard"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    sentence = "the dashboard needs Streamlit; install it with `pip install 'call-metrics[dashboard]'`"
    assert done.stderr == f"call-metrics: {sentence}\n"


def test_dashboard_serves_on_its_port(command: Callable[..., Any]) -> None:
    """`call-metrics dashboard` prints its address and becomes Streamlit; a second one on that port is refused."""
    pytest.importorskip("streamlit", reason="Streamlit comes with the extra dashboard")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = command("dashboard", "--port", f"{port}")
    assert process.stdout.readline() == f"Dashboard at http://127.0.0.1:{port} (Ctrl-C ends it)\n"
    deadline = time.monotonic() + 60
    while not _responds(f"http://127.0.0.1:{port}/_stcore/health"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    code, out, err = finish(command("dashboard", "--port", f"{port}"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "choose another with --port" in err
    process.send_signal(signal.SIGTERM)
    finish(process)


def _responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed"))
    for shell in ("bash", "zsh", "fish")
]

BASH = """
source <(call-metrics completion bash)
COMP_WORDS=(call-metrics {words}) COMP_CWORD={last}
_call_metrics_completion call-metrics
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """
compdef() {{ :; }}  # the built-ins of a line that is being edited: print what they would offer
compadd() {{ print -rl -- "${{(@P)@[-1]}}" }}
_describe() {{ print -rl -- "${{(@)${{(@P)3}}%%:*}}" }}
eval "$(call-metrics completion zsh)"
words=(call-metrics {words}) CURRENT=$(( {last} + 1 ))
_call_metrics_completion
"""

FISH = """
call-metrics completion fish | source
complete --do-complete 'call-metrics {words}'
"""


def _completions(shell: str, words: str, environment: dict[str, str], folder: Path) -> set[str]:
    """Return what the shell offers for the last word, by the script of `call-metrics completion`."""
    return {line.split("\t")[0] for line in _offered(shell, words, environment, folder) if line}


def _descriptions(environment: dict[str, str], folder: Path) -> set[str]:
    """Return the descriptions of all commands that fish shows."""
    return {line.partition("\t")[2] for line in _offered("fish", "", environment, folder)}


def _offered(shell: str, words: str, environment: dict[str, str], folder: Path) -> list[str]:
    program = folder / "call-metrics"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipeline "$@"\n')
    program.chmod(0o755)
    script = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell].format(words=words, last=words.count(" ") + 1)
    done = subprocess.run(
        [shell, "-c", script],
        capture_output=True,
        text=True,
        env=environment | {"PATH": f"{folder}:{environment['PATH']}"},
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ba", {"backfill"}),
        ("d", {"demo", "doctor", "diff", "dashboard"}),
        ("backfill --f", {"--from"}),
        ("sql --format ", {"table", "csv", "json", "parquet"}),
        ("sql --format p", {"parquet"}),
        ("emulator --world ", {"demo", "odd", "uniform"}),
        ("completion z", {"zsh"}),
    ],
)
def test_completion_offers_commands_options_and_values(
    shell: str, words: str, offered: set[str], environment: dict[str, str], tmp_path: Path
) -> None:
    """The script of each shell completes what can be written at that place."""
    assert _completions(shell, words, environment, tmp_path) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, command: Callable[..., Any]) -> None:
    """The script runs the program with the variable that asks for completions, even if the shell is not installed."""
    code, out, err = finish(command("completion", shell))
    assert (code, err) == (0, "")
    assert f"_CALL_METRICS_COMPLETE={shell}_complete" in out


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_completion_shows_whole_descriptions_in_fish(environment: dict[str, str], tmp_path: Path) -> None:
    """A comma does not end a description."""
    assert "Show per day what is known, landed and missing." in _descriptions(environment, tmp_path)
