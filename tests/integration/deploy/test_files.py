"""The files in deploy/ are true: what they name exists, and what they set are settings."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from pipeline.orchestration.names import APP_TAG
from pipeline.settings import SECRETS, Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
ROOT = DEPLOY.parent
OURS = {f"{field.validation_alias}" for field in Settings.model_fields.values()} | {f"{name}_FILE" for name in SECRETS}


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith(("CALL_METRICS_", "STREAM_"))}


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a document of YAML."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)
    if isinstance(value, str):
        yield value


def test_compose_sets_our_settings_and_runs_programs_that_the_image_has() -> None:
    """A misspelt setting would stop each process at its start."""
    services = load("compose.yaml")["services"]
    assert {"code", "daemon", "webserver", "postgres", "s3"} <= services.keys()
    for name in ("code", "daemon", "webserver"):
        service = services[name]
        assert ours(set(service["environment"])) <= OURS
        assert service["healthcheck"]["test"]
        documented = re.search(r"/\w+_info|grpc-health-check -p 4000|liveness-check", service["healthcheck"]["test"])
        assert documented
        assert documented[0] in (ROOT / "docs" / "monitoring.md").read_text()
        program = shlex.split(service["command"])[0]
        assert importlib.util.find_spec(program.replace("dagster-daemon", "dagster").replace("-", "_"))
    for mounted in re.findall(r"\./([\w.-]+):/", (DEPLOY / "compose.yaml").read_text()):
        assert (DEPLOY / mounted).exists()


def assert_apps_differ(environments: list[dict[str, str]], secrets: list[set[str]]) -> None:
    """Assert that two apps share the data root and the lake, and have names, first days and secrets of their own."""
    one, other = environments
    for shared in ("CALL_METRICS_DATA", "CALL_METRICS_WAREHOUSE", "CALL_METRICS_SCRATCH"):
        assert one[shared] == other[shared]
    for own in ("CALL_METRICS_APP", "CALL_METRICS_START"):
        assert one[own] != other[own]
    assert secrets[0] != secrets[1]
    for environment in environments:
        settings = {name: value for name, value in environment.items() if name.startswith("CALL_METRICS_")}
        assert Settings.load(settings).app == environment["CALL_METRICS_APP"]


def test_compose_of_two_apps_fits_the_one_that_it_extends() -> None:
    """The first app is the code server of compose.yaml; the second one differs from it only where apps differ."""
    base, more = load("compose.yaml"), load("compose.apps.yaml")
    first = base["services"]["code"]["environment"] | more["services"]["code"]["environment"]
    second = more["services"]["code-sales"]
    code = base["services"]["code"]
    for part in ("image", "command", "restart", "depends_on", "healthcheck"):
        assert second[part] == code[part]
    other = second["environment"]
    assert {name for name in first.keys() | other.keys() if first.get(name) != other.get(name)} == {
        "CALL_METRICS_APP",
        "CALL_METRICS_START",
        "CALL_METRICS_QUOTA_SHARE",
        "STREAM_API_KEY_FILE",
        "STREAM_API_SECRET_FILE",
    }
    assert {f"/run/secrets/{name}" for name in second["secrets"]} == {
        other[f"STREAM_API_{part}_FILE"] for part in ("KEY", "SECRET")
    }
    assert set(second["secrets"]) == more["secrets"].keys()
    assert_apps_differ([first, other], [set(code["secrets"]), set(second["secrets"])])
    servers = [entry["grpc_server"] for entry in load("workspace.apps.yaml")["load_from"]]
    assert [server["host"] for server in servers] == ["code", "code-sales"]
    assert [server["location_name"] for server in servers] == [first["CALL_METRICS_APP"], "sales"]
    assert all(f"-p {server['port']} " in second["command"] for server in servers)
    for name in ("daemon", "webserver"):
        (volume,) = more["services"][name]["volumes"]
        host, target, _ = volume.split(":")
        assert (DEPLOY / host).exists()
        assert base["services"][name]["volumes"][0].split(":")[1] == target


def test_helm_values_set_our_settings() -> None:
    """And the chart is that of the library's version."""
    values = load("helm-values.yaml")
    deployments = values["dagster-user-deployments"]["deployments"]
    for deployment in deployments:
        assert ours({variable["name"] for variable in deployment["env"]}) <= OURS
        assert importlib.util.find_spec(deployment["dagsterApiGrpcArgs"][1])
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert [limit["key"] for limit in queue["tagConcurrencyLimits"]] == [APP_TAG]
    assert_apps_differ(
        [{variable["name"]: variable["value"] for variable in deployment["env"]} for deployment in deployments],
        [{secret["name"] for secret in deployment["envSecrets"]} for deployment in deployments],
    )
    assert f"version {dg.__version__}" in (DEPLOY / "helm-values.yaml").read_text()


def test_production_instance_differs_from_the_one_machine_only_where_it_must() -> None:
    """Storage and monitoring are for several machines; everything else is as in dagster.yaml."""
    one, many = yaml.safe_load((ROOT / "dagster.yaml").read_text()), load("dagster.production.yaml")
    assert {name for name in one.keys() | many.keys() if one.get(name) != many.get(name)} == {
        "storage",
        "concurrency",
        "run_monitoring",
        "run_retries",
    }
    assert [limit["key"] for limit in many["concurrency"]["runs"]["tag_concurrency_limits"]] == [APP_TAG]
    assert many["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert "password" not in many["storage"]["postgres"]["postgres_db"]


def test_workspace_names_the_code_server_of_compose() -> None:
    """Schedules keep their state by the name of the location, which is that of `call-metrics ui`."""
    (server,) = load("workspace.production.yaml")["load_from"]
    assert server["grpc_server"]["host"] in load("compose.yaml")["services"]
    assert f"-p {server['grpc_server']['port']} " in load("compose.yaml")["services"]["code"]["command"]
    assert server["grpc_server"]["location_name"] == "pipeline.orchestration.definitions"


def test_dockerfile_copies_what_there_is_and_installs_extras_that_there_are() -> None:
    """The image is not root, has a health check, and pins by constraints.txt."""
    text = (DEPLOY / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\[([\w,]+)\]'", text)[0].split(",")) <= extras.keys()
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "-c constraints.txt" in text


@pytest.mark.parametrize("key", ["ExecStart", "User", "StateDirectory", "Restart"])
def test_systemd_unit_has_what_a_service_needs(key: str) -> None:
    """It runs a command of ours, as a user of its own."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((DEPLOY / "call-metrics.service").read_text())
    assert unit["Service"][key]
    assert unit["Service"]["ExecStart"].endswith("/call-metrics ui")
    assert ours({unit["Service"]["Environment"].partition("=")[0]}) <= OURS
