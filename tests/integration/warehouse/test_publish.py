"""Publishing: whose file may be replaced, when, and what becomes of one that stands in the way."""

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
    """Someone who has a database open for writing in a process of their own."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "open\n"

    def tell(self, statement: str) -> None:
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shell() -> Iterator[Callable[[Path], Shell]]:
    """Starts shells; those that still run at the end are killed."""
    started: list[Shell] = []

    def start(path: Path) -> Shell:
        started.append(Shell(path))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def flow(flow_for: Callable[..., Flow]) -> Iterator[Flow]:
    """A flow with one day published."""
    with Emulator(WORLD) as emulator:
        flow = flow_for(emulator)
        run(flow, DAYS[0])
        yield flow


def asides(flow: Flow) -> list[str]:
    return sorted(path.name for path in flow.settings.data.rglob("*.set-aside*"))


def days_published(flow: Flow) -> int:
    return len({row[0] for row in published(flow, "call_sessions")})


def test_who_has_the_published_database_open_for_writing_does_not_hold_us_up(
    flow: Flow, shell: Callable[[Path], Shell]
) -> None:
    """As long as it is as we published it, it is replaced; they keep what they opened."""
    shell(flow.settings.warehouse)
    run(flow, DAYS[1])
    assert days_published(flow) == 2
    assert asides(flow) == []


def test_a_database_that_cannot_say_whose_it_is_is_not_replaced(flow: Flow, shell: Callable[[Path], Shell]) -> None:
    """Someone writes another one in the place of ours: one sentence; once it is closed, it is set aside."""
    path = flow.settings.warehouse
    path.unlink()
    theirs = shell(path)
    theirs.tell("CREATE TABLE precious AS SELECT 1 AS one")
    with pytest.raises(FixStorage, match="is open for writing in another program; close it there") as caught:
        run(flow, DAYS[1])
    assert "\n" not in str(caught.value)
    theirs.tell("CHECKPOINT")
    with pytest.raises(FixStorage, match="is open for writing"):
        flow.load([])
    theirs.kill()
    flow.load([])
    (aside,) = path.parent.glob("warehouse.duckdb.set-aside-*")
    with duckdb.connect(str(aside), read_only=True) as database:
        assert database.execute("FROM precious").fetchall() == [(1,)]
    assert days_published(flow) == 2


def test_what_someone_wrote_into_the_published_database_is_not_lost(flow: Flow, shell: Callable[[Path], Shell]) -> None:
    """While they write we wait for the next run; what they left is set aside whole, and readers see ours."""
    path = flow.settings.warehouse
    theirs = shell(path)
    theirs.tell("CREATE TABLE precious AS SELECT 1 AS one")
    with pytest.raises(FixStorage, match="is open for writing"):
        run(flow, DAYS[1])
    theirs.kill()  # with what it wrote in DuckDB's log alone
    flow.load([])
    assert days_published(flow) == 2
    aside, log = sorted(path.parent.glob("warehouse.duckdb.set-aside-*"))
    assert log.name == f"{aside.name}.wal"
    with duckdb.connect(str(aside)) as database:
        assert database.execute("FROM precious").fetchall() == [(1,)]
    assert not path.with_name("warehouse.duckdb.wal").exists()


def test_a_log_without_its_database_is_out_of_the_way(flow: Flow) -> None:
    """Left beside a new database, it would keep everyone from opening that."""
    path = flow.settings.warehouse
    path.unlink()
    path.with_name(f"{path.name}.wal").write_bytes(b"nonsense")
    flow.load([])
    assert days_published(flow) == 1
    assert len(asides(flow)) == 1


def test_a_database_of_an_earlier_version_is_made_anew(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    """It is not broken: nothing is set aside, and one sentence says why it takes longer."""
    run(flow, DAYS[1])
    writer = flow.settings.data / ".work" / "warehouse.duckdb"
    with duckdb.connect(str(writer)) as database:
        database.execute("UPDATE store.meta SET value = '1' WHERE name = 'version'")
    flow.load([])
    assert "was written by an earlier version of Call Metrics; rebuilding it" in caplog.text
    assert "broken" not in caplog.text
    assert asides(flow) == []
    assert days_published(flow) == 2


def test_days_are_published_as_seldom_as_is_asked(flow: Flow) -> None:
    """What is loaded and not published yet is due, and is published by the next load that does not wait."""
    with flow.warehouse.publishing_seldom(3600):
        run(flow, *DAYS[1:])
        assert days_published(flow) == 1
        assert flow.warehouse.is_due
    assert flow.load([]).published
    assert not flow.warehouse.is_due
    assert not flow.load([]).published
    assert days_published(flow) == 3


def test_what_a_killed_run_had_not_published_is_published_by_the_next(flow: Flow) -> None:
    """Also where the next one has nothing to load, and would wait between publications."""
    with flow.warehouse.publishing_seldom(3600):
        run(flow, DAYS[1])
    next_one = Flow(flow.settings)
    with next_one.warehouse.publishing_seldom(3600):
        assert next_one.load([DAYS[1]]).rows == {}
    assert days_published(flow) == 2


def test_a_file_that_was_published_by_another_folder_is_left_alone(flow: Flow, tmp_path: Path) -> None:
    """Whatever the note about our own last publication says."""
    (tmp_path / "data" / "raw" / "folder-id").write_text("another\n")
    before = flow.settings.warehouse.read_bytes()
    flow.settings.warehouse.write_bytes(before)
    with pytest.raises(FixStorage, match="was published from another data folder"):
        run(flow, DAYS[1])
    assert flow.settings.warehouse.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 1000, None])
def test_a_published_file_that_is_broken_is_replaced_and_kept(damage: bytes | None, flow: Flow) -> None:
    """Cut off, or of another kind: it is set aside, each under a name of its own."""
    path = flow.settings.warehouse
    content = path.read_bytes()[:8192] if damage is None else damage
    for times in (1, 2):
        path.write_bytes(content)
        flow.load([])
        assert len(asides(flow)) == times
        assert days_published(flow) == 1
