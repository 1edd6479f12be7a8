"""What commands write to standard error: details with `-v`, nothing but errors with `-q`, and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, Fault
from pipeline.orchestration.instance import open_instance
from tests.support.command_line import DAYS, SMALL, YESTERDAY, finish, flow_on


@pytest.mark.slow
def test_backfill_logs_its_requests_as_json(command: Callable[..., Any], tmp_path: Path) -> None:
    """Every line is an object; requests have no key and nobody's id; details fill no record of Dagster's.

    With `-q`, what is missing is all that a backfill prints.
    """
    people = {stay.user_id for call in SMALL.calls for stay in call.participants}
    with Emulator(SMALL, faults=(Fault("unrecoverable", "participant_metrics", times=1),)) as emulator:
        code, out, err = finish(command("backfill", *DAYS, "-v", on=emulator, CALL_METRICS_LOG_FORMAT="json"))
        assert code == 1
        assert "complete" in out
        lines = [json.loads(line) for line in err.splitlines()]
        requests = [line for line in lines if line["logger"] == "pipeline.extract.client" and "status" in line]
        windows = [line for line in requests if line["endpoint"] == "participant_metrics"]
        assert len(windows) == emulator.count("participant_metrics")
        assert {line["status"] for line in windows} == {200, 500}
        assert all(line["level"] == "debug" and line["method"] == "GET" and line["seconds"] >= 0 for line in windows)
        assert all(line["path"].endswith("/participant/{user_id}/{user_session_id}/details/track") for line in windows)
        for secret in (KEY, SECRET, "api_key", *people):
            assert secret not in err
        code, out, err = finish(command("-q", "backfill", *DAYS, "--quiet", on=emulator))
        assert (code, out, err) == (0, "", "")
    with open_instance(flow_on(tmp_path).settings) as instance:
        for run in instance.get_runs():
            assert not [entry for entry in instance.all_logs(run.run_id) if "details/track: 200" in entry.message]


def test_quiet_leaves_data_and_what_is_missing(command: Callable[..., Any], tmp_path: Path) -> None:
    """A result that was asked for is printed, and so is a line for what is missing; an error too."""
    (tmp_path / "a").mkdir()
    assert finish(command("diff", "a", "a", "-q"))[0] == 2
    code, out, err = finish(command("doctor", "--quiet"))
    assert (code, err) == (2, "")
    assert out.startswith("FAIL  credentials: set STREAM_API_KEY")
    assert out.count("\n") == 1
    code, out, err = finish(command("status", "-q", "--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}"))
    assert (code, err) == (1, "")
    assert f"missing: {YESTERDAY}: " in out


def test_errors_are_json_too(command: Callable[..., Any]) -> None:
    """A usage error, a setting that cannot be used, and a command that could not start are one object each."""
    for arguments, variables, expected in (
        (("status", "--form"), {}, "no such option '--form'"),
        (("status",), {"CALL_METRICS_CONCURRENCY": "many"}, "CALL_METRICS_CONCURRENCY is 'many'"),
        (("sql", "SELECT 1"), {}, "does not exist yet"),
    ):
        code, out, err = finish(command(*arguments, **variables, CALL_METRICS_LOG_FORMAT="json"))
        assert (code, out) == (2, "")
        line = json.loads(err)
        assert (line["level"], line["exit_code"]) == ("error", 2)
        assert expected in line["message"]


def test_unforeseen_error_is_one_line_too(environment: dict[str, str]) -> None:
    """The traceback is a field of it; the exit code is that of Python."""
    broken = "from pipeline.cli import main, status; status.print_status = None; raise SystemExit(main(['status']))"
    variables = environment | {"CALL_METRICS_LOG_FORMAT": "json"}
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, env=variables, check=False)
    line = json.loads(done.stderr)
    assert (done.returncode, done.stdout) == (1, "")
    assert (line["level"], line["message"]) == ("critical", "call-metrics: TypeError")
    assert line["exception"].startswith("Traceback")


def test_format_that_there_is_not_is_refused(command: Callable[..., Any]) -> None:
    """One sentence names the two that there are."""
    code, _, err = finish(command("status", CALL_METRICS_LOG_FORMAT="xml"))
    assert (code, err) == (2, "call-metrics: CALL_METRICS_LOG_FORMAT is 'xml'; write text or json\n")
