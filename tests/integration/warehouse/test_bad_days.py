"""Bad days of a lake: killed processes, servers that are down, connections that are cut off, wrong passwords."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.catalog import LakeCatalog
from pipeline.emulator import Emulator, ManualClock
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.turns import FileTurns, Turns
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.extensions import extension_file
from pipeline.warehouse.postgres import INSTALL, PostgresTurns, is_english, server_problems
from pipeline.warehouse.published import open_published
from tests.support import DAY
from tests.support.flows import AFTERWARDS, WORLD
from tests.support.flows import DAY as FLOW_DAY
from tests.support.lakes import ManyDays, days_from, lake_of, query
from tests.support.postgres import Database, Postgres

DAYS = days_from(DAY, 2)

PUBLISH_AND_DIE = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from pipeline.catalog import LakeCatalog
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from tests.support.lakes import ManyDays, days_from
from tests.support import DAY

data, setting = Path(sys.argv[1]), sys.argv[2]
catalog = LakeCatalog.parse(setting, data)
turns = choose_turns(catalog, data, data / "locks")

class Deadly:
    def of_day(self, day):
        return turns.of_day(day)

    @contextmanager
    def of_publishing(self):
        with turns.of_publishing():
            yield lambda: os.kill(os.getpid(), signal.SIGKILL)

DuckLake(catalog, turns=Deadly()).load(ManyDays(days_from(DAY, 2), people=3, mark="b"), days_from(DAY, 2))
"""

HOLD_A_TURN = """
import sys, time
from datetime import date
from pathlib import Path
from pipeline.catalog import LakeCatalog
from pipeline.warehouse.extensions import extension_file
from pipeline.warehouse.postgres import INSTALL, PostgresTurns

with PostgresTurns(LakeCatalog.parse(sys.argv[1], Path()), "data").of_day(date(2026, 11, 1)):
    print("held", flush=True)
    time.sleep(600)
"""


def lake_in(data: Path, setting: str, turns: Turns | None = None) -> DuckLake:
    """Return a lake as a process of its own opens it."""
    catalog = LakeCatalog.parse(setting, data)
    return DuckLake(catalog, turns=turns or choose_turns(catalog, data, data / "locks"))


def people(data: Path, setting: str) -> list[int]:
    """Return how many people each day has."""
    counted = "SELECT count(*) FROM participant_sessions GROUP BY session_date ORDER BY session_date"
    return [row[0] for row in query(LakeCatalog.parse(setting, data), counted)]


@pytest.fixture
def turns(database: Database) -> PostgresTurns:
    """Return turns of the data root `data`."""
    return PostgresTurns(database.catalog(Path()), "data")


@pytest.fixture
def holder(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Return a process that holds the turn on a day."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_TURN, database.setting()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_process_killed_while_it_publishes_leaves_the_day_as_it_was(lake_setting: str, tmp_path: Path) -> None:
    """All tables have the old day, the next process publishes the new one, and cleaning removes what is left over."""
    lake_in(tmp_path, lake_setting).load(ManyDays(DAYS), DAYS)
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH_AND_DIE, tmp_path, lake_setting], cwd=Path(__file__).parents[3], check=False
    )
    assert done.returncode == -9
    assert people(tmp_path, lake_setting) == [2, 2]
    lake = lake_in(tmp_path, lake_setting)
    assert set(lake.load(ManyDays(DAYS, people=3, mark="b"), DAYS).rows.values()) >= {3}
    assert people(tmp_path, lake_setting) == [3, 3]
    before = len(list((tmp_path / "lake").rglob("*.parquet")))
    lake.clean(timedelta(0))
    lake.clean(timedelta(0), grace=timedelta(seconds=-5))
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) < before
    assert people(tmp_path, lake_setting) == [3, 3]
    assert list(tmp_path.glob(".*.tmp*")) == []


def test_turn_on_a_day_is_waited_for_and_free_when_its_process_dies(
    turns: PostgresTurns, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The wait is logged once. Other days and other data roots have turns of their own."""
    caplog.set_level("INFO")
    with turns.of_day(DAYS[1]) as still_mine:
        still_mine()
    with PostgresTurns(turns._catalog, "other").of_day(DAYS[0]):
        pass
    with turns.of_publishing():
        pass
    assert caplog.messages == []
    assert [turns.is_taken(day) for day in DAYS[:2]] == [True, False]
    threading.Timer(0.5, holder.kill).start()
    began = time.monotonic()
    with turns.of_day(DAYS[0]):
        assert 0.4 < time.monotonic() - began < 10
    assert caplog.messages == [f"another process is working on {DAYS[0]}; waiting for it"]
    assert not turns.is_taken(DAYS[0])


def test_threads_of_one_process_take_turns_too(turns: PostgresTurns) -> None:
    """An advisory lock is the connection's: each turn has its own connection."""
    inside: list[int] = []

    def work() -> None:
        with turns.of_publishing():
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.1)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert inside == []


@pytest.mark.slow
def test_worker_that_is_cut_off_publishes_nothing(database: Database, tmp_path: Path) -> None:
    """It says so in one sentence, nothing is half published, and the same worker goes on afterwards."""
    lake = lake_in(tmp_path, database.setting())
    lake.load(ManyDays(DAYS), DAYS)
    catalog = database.catalog(tmp_path)

    class CutOff(PostgresTurns):
        """Loses its connection before it can commit."""

        def of_publishing(self):  # type: ignore[no-untyped-def]
            return _cut_off(super().of_publishing(), database)

    worker = lake_in(tmp_path, database.setting(), CutOff(catalog, str(tmp_path)))
    with pytest.raises(FixStorage, match="the connection to PostgreSQL was lost, and with it the turn on") as caught:
        worker.load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    assert "\n" not in str(caught.value)
    assert people(tmp_path, database.setting()) == [2, 2]
    worker._access._turns = choose_turns(catalog, tmp_path, tmp_path)
    worker.load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    assert people(tmp_path, database.setting()) == [3, 3]


def _cut_off(turn, database: Database):  # type: ignore[no-untyped-def]
    from contextlib import contextmanager

    @contextmanager
    def held():  # type: ignore[no-untyped-def]
        with turn as still_mine:

            def lost() -> None:
                assert database.cut_off()
                still_mine()

            yield lost

    return held()


def test_step_of_a_day_that_is_cut_off_stops(
    flow_for: Callable[..., Flow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has landed stays, and the next run goes on."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=database.setting())
        flow.extract.call_stats(FLOW_DAY)
        read = flow.landing.writer

        def cut_off_and_write(*given):  # type: ignore[no-untyped-def]
            database.cut_off()
            return read(*given)

        with monkeypatch.context() as patch:
            patch.setattr(flow.landing, "writer", cut_off_and_write)
            with pytest.raises(FixStorage, match=f"the turn on {FLOW_DAY}; nothing is half published, run again"):
                flow.run(FLOW_DAY)
        assert flow.run(FLOW_DAY).is_complete
        assert query(lake_of(flow.settings), "SELECT count(*) FROM windows") == [(6,)]


@pytest.mark.slow
def test_server_that_is_down_is_one_sentence_and_coming_back_is_enough(
    postgres: Postgres, database: Database, tmp_path: Path
) -> None:
    """A lake that was open before reads and writes again without being opened anew."""
    lake = lake_in(tmp_path, database.setting())
    lake.load(ManyDays(DAYS), DAYS)
    postgres.stop()
    try:
        for attempt in (
            lambda: lake.load(ManyDays(DAYS, mark="b"), DAYS),
            lambda: lake_in(tmp_path, database.setting()).load(ManyDays(DAYS, mark="b"), DAYS),
            lambda: open_published(database.catalog(tmp_path)),
        ):
            with pytest.raises(FixStorage, match=r"Connection refused.*; fix it and run again") as caught:
                attempt()
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 330
    finally:
        postgres.start()
    lake.load(ManyDays(DAYS, people=3, mark="b"), DAYS)
    assert people(tmp_path, database.setting()) == [3, 3]


def test_wrong_password_is_one_sentence_without_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is refused learns the user, and not the password."""
    monkeypatch.setenv("PGPASSWORD", "hunter2-hunter2")
    for attempt in (
        lambda: lake_in(tmp_path, database.setting()).load(ManyDays(DAYS), DAYS),
        lambda: open_published(database.catalog(tmp_path)),
    ):
        with pytest.raises(FixStorage, match='password authentication failed for user "writer"') as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_server_out_of_connections_is_one_sentence(database: Database, tmp_path: Path) -> None:
    """The next run goes on."""
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    with pytest.raises(FixStorage, match="too many connections for database"):
        lake_in(tmp_path, database.setting()).load(ManyDays(DAYS), DAYS)
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    lake_in(tmp_path, database.setting()).load(ManyDays(DAYS), DAYS)


def test_reading_needs_no_right_to_write(database: Database, tmp_path: Path) -> None:
    """A role that may only SELECT reads everything and can write nothing, with our options or its own."""
    lake_in(tmp_path, database.setting()).load(ManyDays(DAYS), DAYS)
    catalog = database.catalog(tmp_path, "reader")
    with open_published(catalog) as reader:
        assert reader.execute("SELECT count(*) FROM track_quality").fetchone() == (4,)
    with pytest.raises(FixStorage, match="permission denied"):
        lake_in(tmp_path, database.setting("reader")).load(ManyDays(DAYS, mark="b"), DAYS)
    assert people(tmp_path, database.setting()) == [2, 2]


def test_what_will_break_the_lake_is_named(database: Database) -> None:
    """A role that cannot write, and messages that DuckLake does not understand."""
    assert server_problems(database.catalog(Path())) == []
    (problem,) = server_problems(database.catalog(Path(), "reader"))
    assert problem == "the role cannot create tables in the schema public, so it can only read the lake"
    assert all(map(is_english, ("C", "POSIX", "C.UTF-8", "en_US.utf8", "")))
    assert not any(map(is_english, ("de_DE.utf8", "fr_FR.UTF-8")))


def test_missing_extension_is_one_sentence() -> None:
    """It names the extra."""
    with pytest.raises(FixSettings, match=r"a DuckLake needs DuckDB's extension nowhere; .*'call-metrics\[scale\]'"):
        extension_file("nowhere", needed_by="a DuckLake", install=INSTALL)


def test_file_turns_are_those_of_one_machine(tmp_path: Path) -> None:
    """A lake whose catalog is a file takes turns by files."""
    catalog = LakeCatalog.parse(f"ducklake:{tmp_path}/c.ducklake", tmp_path)
    assert isinstance(choose_turns(catalog, tmp_path, tmp_path), FileTurns)
