"""Several machines on one bucket and one lake: turns, a killed one, and commands on a machine that is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, Quota, World, uniform_world
from pipeline.flow import Flow
from pipeline.settings import Settings
from tests.integration.deploy.conftest import Cluster
from tests.support import differences
from tests.support.command_line import YESTERDAY, finish
from tests.support.production import environment_of

EVE = YESTERDAY - timedelta(days=1)
WINDOWS_OF_A_DAY = 5 * 4 * 2

Make = Callable[[str], Cluster]


def world_of(*days: object) -> World:
    """Return equal calls on these days."""
    worlds = [uniform_world(day, calls=5, people=4, minutes=40, step_seconds=60) for day in days]  # type: ignore[arg-type]
    return World(tuple(call for world in worlds for call in world.calls))


@pytest.fixture
def source() -> Iterator[Emulator]:
    """Yield the API, with a quota that makes a day last some seconds."""
    with Emulator(world_of(EVE, YESTERDAY), quotas={"participant_metrics": Quota(10, 1.0)}) as emulator:
        yield emulator


def backfill(cluster: Cluster, machine: int, first: object, last: object | None = None) -> object:
    return cluster.start(machine, "backfill", "--from", f"{first}", "--to", f"{last or first}")


def landed(cluster: Cluster, tmp_path: Path) -> int:
    """Return how many windows of the first day are in the bucket."""
    environment = cluster.environment | {"CALL_METRICS_SCRATCH": str(tmp_path / "onlooker")}
    with environment_of(environment), Flow(Settings.load(environment, tmp_path)) as flow:
        return flow.landing.index("participant_metrics", EVE).num_rows


def found_differences(cluster: Cluster, source: Emulator, tmp_path: Path) -> list[str]:
    """Return how the lake and the source differ, as a new machine reads it."""
    environment = cluster.environment | {"CALL_METRICS_SCRATCH": str(tmp_path / "reader")}
    with environment_of(environment), Flow(Settings.load(environment, tmp_path)) as flow:
        return list(differences(flow.settings.warehouse, flow.landing, source.expected_rows()))


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_machine_that_is_killed_is_replaced_by_an_empty_one(cluster: Make, source: Emulator, tmp_path: Path) -> None:
    """Two machines backfill a day each and one is killed. A third one requests exactly what had not landed."""
    machines = cluster(source.url)
    killed, other = backfill(machines, 1, EVE), backfill(machines, 2, YESTERDAY)
    while not landed(machines, tmp_path):
        time.sleep(0.2)
    killed.kill()  # type: ignore[attr-defined]
    killed.communicate()  # type: ignore[attr-defined]
    code, out, err = finish(other)  # type: ignore[arg-type]
    assert code == 0, out + err
    before = source.count("participant_metrics", 200)
    missing = WINDOWS_OF_A_DAY - landed(machines, tmp_path)
    code, out, err = finish(backfill(machines, 3, EVE, YESTERDAY))  # type: ignore[arg-type]
    assert code == 0, out + err
    assert source.count("participant_metrics", 200) - before == missing
    assert found_differences(machines, source, tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_second_machine_on_a_day_waits_and_finds_nothing_to_do(cluster: Make, source: Emulator, tmp_path: Path) -> None:
    """Every window is requested once."""
    machines = cluster(source.url)
    both = [backfill(machines, number, EVE) for number in (1, 2)]
    for code, out, err in map(finish, both):  # type: ignore[arg-type]
        assert code == 0, out + err
    assert source.count("participant_metrics", 200) == WINDOWS_OF_A_DAY
    assert [row for row in found_differences(machines, source, tmp_path) if "too many" in row] == []


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_every_command_works_on_a_new_machine(cluster: Make, tmp_path: Path) -> None:
    """`status`, `doctor`, `sql`, `report`, `rebuild` and `forget` need nothing but the bucket and the lake.

    A role that can only SELECT is enough to ask. No object names a person who was erased.
    """
    with Emulator(world_of(YESTERDAY)) as source:
        machines = cluster(source.url)
        numbers = iter(range(100))

        def run(*arguments: str, **variables: str) -> str:
            code, out, err = finish(machines.start(next(numbers), *arguments, **variables))
            assert (code, err) == (0, ""), out + err
            return out

        run("backfill", "--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}")
        assert "complete" in run("status")
        assert "FAIL" not in run("doctor")
        reader = {"CALL_METRICS_WAREHOUSE": machines.database.setting("reader")}
        query = "SELECT count(*) AS n, count(DISTINCT user_id) AS users FROM participant_sessions"
        assert run("sql", "--format", "csv", query, **reader) == "n,users\n20,4\n"
        session = run("sql", "--format", "csv", "SELECT min(call_session_id) AS s FROM call_sessions").split()[1]
        assert "user-001" in run("report", session, "-o", "-", **reader)
        assert "5 calls" in run("rebuild")
        assert "removed from 1 day" in run("forget", "--user", "user-001")
        assert run("sql", "--format", "csv", query, **reader) == "n,users\n15,3\n"
        for key in machines.bucket.list_keys():
            assert b"user-001" not in machines.bucket.read(key), key
        assert "user-001" not in run("report", session, "-o", "-", **reader)
