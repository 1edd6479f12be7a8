"""Publishing: whose file may be replaced and when, and what happens to a file that is in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from pipeline.emulator import Emulator, World, uniform_world
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.tables.lake import Lake
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


def writer_of(flow: Flow) -> Path:
    """Return the path of the writer's database."""
    return flow.settings.data / ".work" / "warehouse.duckdb"


def copies_of(flow: Flow) -> list[str]:
    """Return the names of all files that are as large as the published one."""
    size = flow.settings.warehouse.stat().st_size
    return sorted(path.name for path in flow.settings.data.rglob("*") if path.is_file() and path.stat().st_size >= size)


def test_database_is_stored_once(flow: Flow) -> None:
    """The writer's database is moved to the place of the published one; the next load begins with a copy."""
    assert copies_of(flow) == ["warehouse.duckdb"]
    first = published(flow, "metric_points")
    flow.run(DAYS[1])
    assert copies_of(flow) == ["warehouse.duckdb"]
    assert not writer_of(flow).exists()
    assert set(first) < set(published(flow, "metric_points"))


def test_backfill_that_has_nothing_to_load_writes_nothing(flow: Flow) -> None:
    """Neither the database nor the note beside it is written again, and nothing is copied."""
    files = [flow.settings.warehouse, writer_of(flow).with_name("warehouse.duckdb.published")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    for again in (flow, Flow(flow.settings)):
        assert not again.load([DAYS[0]]).published
        assert not again.load([]).published
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before
    assert not writer_of(flow).exists()


def test_copy_of_a_killed_process_is_removed(flow: Flow) -> None:
    """It was killed after copying the published database, or while it did, and before it loaded anything."""
    shutil.copyfile(flow.settings.warehouse, writer_of(flow))
    half = writer_of(flow).with_name(".warehouse.duckdb.0000.tmp")
    half.write_bytes(b"half")
    assert not flow.load([DAYS[0]]).published
    assert copies_of(flow) == ["warehouse.duckdb"]
    assert not half.exists()


def test_publication_that_was_killed_is_made_by_the_next_run(flow: Flow) -> None:
    """It was killed after its note and before it moved the file: the note is about a file that is not there yet."""
    with flow.warehouse.publishing_seldom(3600):
        flow.run(DAYS[1])
    writer = writer_of(flow)
    with duckdb.connect(str(writer), read_only=True) as database:
        (generation,) = database.execute("SELECT value FROM store.meta WHERE name = 'generation'").fetchone()
    found = writer.stat()
    writer.with_name("warehouse.duckdb.published").write_text(f"{generation} {found.st_size} {found.st_mtime_ns}")
    assert days_published(flow) == 1
    assert Flow(flow.settings).load([]).published
    assert days_published(flow) == 2
    assert not writer.exists()


def test_database_in_another_file_system_is_a_copy(flow_for: Callable[..., Flow]) -> None:
    """A file cannot be moved there, so the writer's database stays, and the next load continues with it."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("no /dev/shm")
    with TemporaryDirectory(dir=memory) as folder, Emulator(WORLD) as emulator:
        flow = flow_for(emulator, warehouse_file=Path(folder) / "warehouse.duckdb")
        if flow.settings.data.parent.stat().st_dev == Path(folder).stat().st_dev:
            pytest.skip("/dev/shm is in the file system of the test")
        run(flow, *DAYS[:2])
        assert days_published(flow) == 2
        assert not flow.load(DAYS[:2]).published
        assert writer_of(flow).read_bytes() == flow.settings.warehouse.read_bytes()
        flow.settings.warehouse.write_bytes(b"nonsense")
        flow.load([])
        assert days_published(flow) == 2


def test_database_that_was_not_filled_to_the_end_gets_all_days(flow: Flow) -> None:
    """A process was killed while it built the database again, after the first day."""
    flow.run(DAYS[1])
    flow.settings.warehouse.unlink()

    class OneDay(Lake):
        def days(self, table: str = "windows") -> list[date]:
            raise KeyboardInterrupt if writer_of(flow).exists() else AssertionError

    with pytest.raises(KeyboardInterrupt):
        flow.warehouse.load(OneDay(flow.settings.data / "tables"), [DAYS[0]])
    flow.load([])
    assert days_published(flow) == 2


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


@pytest.mark.slow
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


@pytest.mark.parametrize("has_writer", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_database_of_an_earlier_version_is_rebuilt(
    has_writer: bool, flow: Flow, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not broken, so nothing is quarantined, and one sentence says why it takes longer.

    Versions before 8 also kept the writer's database.
    """
    flow.run(DAYS[1])
    path = flow.settings.warehouse
    before = path.stat()
    with duckdb.connect(str(path)) as database:
        database.execute("UPDATE store.meta SET value = '7' WHERE name = 'version'")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as published by that version
    if has_writer:
        shutil.copyfile(path, writer_of(flow))
    flow.load([])
    assert "was written by an earlier version of Call Metrics; rebuilding it" in caplog.text
    assert "broken" not in caplog.text
    assert quarantined_files(flow) == []
    assert days_published(flow) == 2
    assert not writer_of(flow).exists()


@pytest.mark.slow
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
