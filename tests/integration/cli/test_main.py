"""Any command: its help, what it loads, and how it ends if it cannot start or cannot print."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cli.commands import call_metrics
from tests.support.command_line import DAYS, finish

HEAVY = ("dagster", "duckdb", "httpx", "numpy", "pyarrow", "pydantic", "rich")
"""Libraries that take longer to load than `--help` may take."""


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (("backfill", *DAYS), {}, "set STREAM_API_KEY and STREAM_API_SECRET"),
        (("backfill", "--from", "2026-13-01", "--to", "2026-01-02"), {}, "--from is '2026-13-01'"),
        (("backfill", "--from", "2026-02-02", "--to", "2026-02-01"), {}, "swap them"),
        (("backfill", "--from", "2025-01-01", "--to", "2026-02-01"), {}, "CALL_METRICS_START"),
        (("backfill", "--from", "2026-02-01", "--to", "2999-01-01"), {}, "is in the future"),
        (("explain",), {}, "--from, --to"),
        (("status",), {"CALL_METRICS_DATE": "x"}, "did you mean CALL_METRICS_DATA?"),
        (("status",), {"CALL_METRICS_CONCURRENCY": "many"}, "CALL_METRICS_CONCURRENCY is 'many'"),
        (("sql", "SELECT 1"), {}, "does not exist yet"),
        (("sql", b"SELECT \xff"), {}, "type it again"),
        (("forget", "--user", b"\xff"), {}, "type it again"),
        (("demo", "--days", "1" * 5_000), {}, "must be a whole number from 1 to 30"),
        (("backfill", *DAYS), {"STREAM_API_KEY": "k", "STREAM_API_SECRET": "s", "HTTPS_PROXY": "x://"}, "HTTPS_PROXY"),
        (("frobnicate",), {}, "no such command 'frobnicate'"),
        (("demo", "--days", "0"), {}, "must be a whole number from 1 to 30"),
        (("dashboard",), {"CALL_METRICS_DATE": "x"}, "did you mean CALL_METRICS_DATA?"),
        (("rebuild", "--from", "yesterday"), {}, "--from is 'yesterday'"),
    ],
)
def test_refusal_says_what_to_do(
    arguments: tuple[str | bytes, ...], variables: dict[str, str], expected: str, command: Callable[..., Any]
) -> None:
    """Unusable arguments, settings and dates end with exit code 2 and one sentence, without a traceback."""
    code, out, err = finish(command(*arguments, **variables))
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_output_that_cannot_be_written_is_reported(form: str, environment: dict[str, str], tmp_path: Path) -> None:
    """A full disk behind `>` gives one sentence and exit code 2; a closed pipe is not an error."""
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


def test_version_is_that_of_the_package(command: Callable[..., Any]) -> None:
    """`--version` prints the program and its version."""
    assert finish(command("--version")) == (0, f"call-metrics {version('call-metrics')}\n", "")


@pytest.mark.parametrize("name", [None, *call_metrics.commands])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_printed_to_stdout(name: str | None, option: str, command: Callable[..., Any]) -> None:
    """The program and every command explain themselves, with exit code 0."""
    code, out, err = finish(command(*([name] if name else []), option))
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: call-metrics {name or '[OPTIONS] COMMAND'}")


@pytest.mark.parametrize(
    "variables",
    [{}, {"_CALL_METRICS_COMPLETE": "bash_complete", "COMP_WORDS": "call-metrics sql --format ", "COMP_CWORD": "3"}],
    ids=["help", "completion"],
)
def test_help_and_completion_load_no_heavy_library(variables: dict[str, str], environment: dict[str, str]) -> None:
    """Both are quick, because commands import what they need when they run."""
    run = "import sys; from pipeline.cli import main; code = main(['--help'])"
    show = f"print(*sorted(set({HEAVY!r}) & sys.modules.keys()), file=sys.stderr, end=''); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", f"{run}; {show}"],
        capture_output=True,
        text=True,
        env=environment | variables,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("parquet" if variables else "Exit codes: 0 complete") in done.stdout
