"""Publishing: whose file may be replaced and when, and what happens to a file that is in the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator import Emulator, World, uniform_world
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from tests.support import DAY
from tests.support.flows import days_from, published, run

DAYS = days_from(DAY, 3)
WORLD = World(
    tuple(call for day in DAYS for call in uniform_world(day, calls=1, people=2, minutes=5, step_seconds=60).calls)
)
SHELL = """
import sys, duckdb
database = duckdb.connect(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    database.execute(line)
    print("done", flush=True)
"""


class Shell:
    """Another program that has a database open for writing."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "open\n"

    def execute(self, statement: str) -> None:
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shell() -> Iterator[Callable[[Path], Shell]]:
    """Start shells, and kill those that still run at the end."""
    started: list[Shell] = []

    def start(path: Path) -> Shell:
        started.append(Shell(path))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def flow(flow_for: Callable[..., Flow]) -> Iterator[Flow]:
    """Return a flow with one day published."""
    with Emulator(WORLD) as emulator:
        flow = flow_for(emulator)
        flow.run(DAYS[0])
        yield flow


def quarantined_files(flow: Flow) -> list[str]:
    """Return the names of all quarantined files."""
    return sorted(path.name for path in flow.settings.data.rglob("*.set-aside*"))


def days_published(flow: Flow) -> int:
    """Return how many days are in the published database."""
    return len({row[0] for row in published(flow, "call_sessions")})


def test_database_that_is_open_for_writing_is_replaced(flow: Flow, shell: Callable[[Path], Shell]) -> None:
    """It is replaced if nobody has changed it, and the other program keeps what it opened."""
    shell(flow.settings.warehouse)
    flow.run(DAYS[1])
    assert days_published(flow) == 2
    assert quarantined_files(flow) == []


def test_foreign_database_that_is_open_for_writing_is_not_replaced(flow: Flow, shell: Callable[[Path], Shell]) -> None:
    """One sentence says to close it, and once it is closed it is quarantined."""
    path = flow.settings.warehouse
    path.unlink()
    other_program = shell(path)
    other_program.execute("CREATE TABLE precious AS SELECT 1 AS one")
    with pytest.raises(FixStorage, match="is open for writing in another program; close it there") as caught:
        flow.run(DAYS[1])
    assert "\n" not in str(caught.value)
    other_program.execute("CHECKPOINT")
    with pytest.raises(FixStorage, match="is open for writing"):
        flow.load([])
    other_program.kill()
    flow.load([])
    (quarantined,) = path.parent.glob("warehouse.duckdb.set-aside-*")
    with duckdb.connect(str(quarantined), read_only=True) as database:
        assert database.execute("FROM precious").fetchall() == [(1,)]
    assert days_published(flow) == 2


def test_changes_by_another_program_are_quarantined_and_not_lost(flow: Flow, shell: Callable[[Path], Shell]) -> None:
    """While the other program writes, publishing waits for the next run, and what it wrote is kept with its log."""
    path = flow.settings.warehouse
    other_program = shell(path)
    other_program.execute("CREATE TABLE precious AS SELECT 1 AS one")
    with pytest.raises(FixStorage, match="is open for writing"):
        flow.run(DAYS[1])
    other_program.kill()  # what it wrote is only in DuckDB's log
    flow.load([])
    assert days_published(flow) == 2
    quarantined, log = sorted(path.parent.glob("warehouse.duckdb.set-aside-*"))
    assert log.name == f"{quarantined.name}.wal"
    with duckdb.connect(str(quarantined)) as database:
        assert database.execute("FROM precious").fetchall() == [(1,)]
    assert not path.with_name("warehouse.duckdb.wal").exists()


def test_write_ahead_log_without_its_database_is_quarantined(flow: Flow) -> None:
    """Left beside a new database, the log would keep everyone from opening it."""
    path = flow.settings.warehouse
    path.unlink()
    path.with_name(f"{path.name}.wal").write_bytes(b"nonsense")
    flow.load([])
    assert days_published(flow) == 1
    assert len(quarantined_files(flow)) == 1


def test_database_of_an_earlier_version_is_rebuilt(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    """It is not broken, so nothing is quarantined, and one sentence says why it takes longer."""
    flow.run(DAYS[1])
    writer = flow.settings.data / ".work" / "warehouse.duckdb"
    with duckdb.connect(str(writer)) as database:
        database.execute("UPDATE store.meta SET value = '1' WHERE name = 'version'")
    flow.load([])
    assert "was written by an earlier version of Call Metrics; rebuilding it" in caplog.text
    assert "broken" not in caplog.text
    assert quarantined_files(flow) == []
    assert days_published(flow) == 2


def test_days_are_published_at_most_once_per_interval(flow: Flow) -> None:
    """What is loaded and not published is due, and the next load that does not wait publishes it."""
    with flow.warehouse.publishing_seldom(3600):
        run(flow, *DAYS[1:])
        assert days_published(flow) == 1
        assert flow.warehouse.is_due
    assert flow.load([]).published
    assert not flow.warehouse.is_due
    assert not flow.load([]).published
    assert days_published(flow) == 3


def test_next_run_publishes_what_a_killed_one_loaded(flow: Flow) -> None:
    """The next run publishes even if it has nothing to load and waits between publications."""
    with flow.warehouse.publishing_seldom(3600):
        flow.run(DAYS[1])
    next_run = Flow(flow.settings)
    with next_run.warehouse.publishing_seldom(3600):
        assert next_run.load([DAYS[1]]).rows == {}
    assert days_published(flow) == 2


def test_database_published_from_another_folder_is_left_alone(flow: Flow, tmp_path: Path) -> None:
    """Our own record of the last publication does not change that."""
    (tmp_path / "data" / "raw" / "folder-id").write_text("another\n")
    before = flow.settings.warehouse.read_bytes()
    flow.settings.warehouse.write_bytes(before)
    with pytest.raises(FixStorage, match="was published from another data folder"):
        flow.run(DAYS[1])
    assert flow.settings.warehouse.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 1000, None])
def test_published_database_that_is_broken_is_quarantined(damage: bytes | None, flow: Flow) -> None:
    """Each one is kept under a name of its own, and readers get a complete one."""
    path = flow.settings.warehouse
    content = path.read_bytes()[:8192] if damage is None else damage
    for times in (1, 2):
        path.write_bytes(content)
        flow.load([])
        assert len(quarantined_files(flow)) == times
        assert days_published(flow) == 1
