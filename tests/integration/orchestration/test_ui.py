"""Dagster's own commands in a checkout, and Dagster's user interface on the runs of the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.orchestration.ui import ui_command
from pipeline.schema import TABLES
from tests.support import free_port
from tests.support.orchestration import DagsterServer, dagster_server

CHECKOUT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent

ASSETS = "{ assetNodes { assetKey { path } } }"
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
LOCATION = {"name": "pipeline.orchestration.definitions", "loadStatus": "LOADED"}
RUNS = "{ runsOrError { ... on Runs { results { jobName status } } } }"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user with a home, a data folder and a Dagster instance of their own."""
    shutil.copyfile(CHECKOUT / "dagster.yaml", tmp_path / "dagster.yaml")
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path),
        "CALL_METRICS_DATA": str(tmp_path / "data"),
    }


def dg(*arguments: str, environment: dict[str, str]) -> str:
    """Return what `dg` prints in the checkout."""
    command = [BIN / "dg", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=150, check=True
    )
    return done.stdout


def assets_of(server: DagsterServer) -> list[list[str]]:
    return [node["assetKey"]["path"] for node in server.query(ASSETS)["assetNodes"]]


@pytest.mark.slow
def test_dg_checks_and_lists_the_definitions_of_a_checkout(environment: dict[str, str]) -> None:
    """`dg check toml`, `dg check defs` and `dg list defs` need no arguments."""
    assert "All TOML configuration files are valid." in dg("check", "toml", environment=environment)
    assert "All definitions loaded successfully." in dg("check", "defs", environment=environment)
    listed = json.loads(dg("list", "defs", "--json", environment=environment))
    assert {f"warehouse/{table}" for table in TABLES} <= {asset["asset_key"] for asset in listed["assets"]}
    assert {job["name"] for job in listed["jobs"]} == {"ingest", "morning_check"}
    assert {schedule["name"] for schedule in listed["schedules"]} == {"trailing_days", "morning_check"}
    assert {sensor["name"] for sensor in listed["sensors"]} == {"late_data"}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("command", [pytest.param("dg", marks=pytest.mark.slow), "dagster"])
def test_dev_serves_the_same_code_location_from_a_checkout(
    command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """`dg dev` and `dagster dev` need no arguments. The location has one name, so schedules stay as they were set."""
    port = free_port()
    with dagster_server([f"{BIN / command}", "dev", "-p", f"{port}"], port, CHECKOUT, environment) as server:
        assert server.query(LOCATIONS)["workspaceOrError"]["locationEntries"] == [LOCATION]
        assert ["warehouse", "metric_points"] in assets_of(server)
    assert ("superseded" in server.output) == (command == "dagster")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ui_command_without_dg_prints_no_warning(environment: dict[str, str], tmp_path: Path) -> None:
    """A plain install has no `dg`: `dagster dev` serves the same location from any folder, and is not superseded."""
    port = free_port()
    with dagster_server(ui_command(port, with_dg=False), port, tmp_path, environment) as server:
        assert server.query(LOCATIONS)["workspaceOrError"]["locationEntries"] == [LOCATION]
    assert "superseded" not in server.output
    assert "Warning" not in server.output


@pytest.mark.parametrize("with_dg", [True, False])
def test_ui_command_passes_on_how_to_log(with_dg: bool) -> None:
    """Both programs know these options; without a choice, Dagster logs as it always did."""
    plain = ui_command(3000, with_dg=with_dg)
    chosen = ui_command(3000, with_dg=with_dg, log_format="json", quiet=True)
    added = ["--log-format", "json", "--log-level", "error", "--code-server-log-level", "error"]
    assert chosen == [*plain, *added]
    known = subprocess.run([*chosen, "--help"], capture_output=True, text=True, timeout=60)
    assert (known.returncode, "Usage" in known.stdout) == (0, True)


def test_ui_command_prefers_dg() -> None:
    """The development install has `dg`."""
    assert ui_command(3000) == ui_command(3000, with_dg=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ui_shows_the_runs_of_the_command_line(tmp_path: Path) -> None:
    """`call-metrics ui` opens Dagster on the instance of the command line, which can run at the same time.

    SIGTERM ends it, also if it is the background job of a script: then SIGINT is ignored, which Dagster takes over.
    """
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALL_METRICS_DATA": str(tmp_path / "data")}
    demo = [sys.executable, "-m", "pipeline", "demo", "--days", "1"]
    subprocess.run(demo, check=True, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    ui = [sys.executable, "-m", "pipeline", "ui", "--port", f"{port}"]
    with dagster_server(ui, port, tmp_path, environment, ignore_sigint=True) as server:
        assert server.query(LOCATIONS)["workspaceOrError"]["locationEntries"] == [LOCATION]
        assert server.query(RUNS)["runsOrError"]["results"] == [{"jobName": "ingest", "status": "SUCCESS"}]
        assert ["warehouse", "metric_points"] in assets_of(server)
        subprocess.run(demo, check=True, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert server.ended_by == signal.SIGTERM
    assert "superseded" not in server.output
    assert "Warning" not in server.output
