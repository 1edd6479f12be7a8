"""Dagster's records of runs, broken in every way: one sentence names the file and says what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from pipeline.emulator import KEY, SECRET, Emulator, uniform_world
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.orchestration.instance import home, open_instance, unusable_records
from pipeline.settings import Settings
from tests.support.flows import assert_published

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
WORLD = uniform_world(YESTERDAY, calls=1, people=1, minutes=5, step_seconds=60)
RECORDS = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


def backfill(folder: Path, url: str = "http://127.0.0.1:9") -> tuple[int, str]:
    """Return the exit code and stderr of a backfill."""
    process = subprocess.run(
        [sys.executable, "-m", "pipeline", "backfill", "--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CALL_METRICS_DATA": str(folder / "data"),
            "STREAM_API_KEY": KEY,
            "STREAM_API_SECRET": SECRET,
            "STREAM_BASE_URL": url,
        },
        timeout=150,
    )
    return process.returncode, process.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with records of Dagster."""
    data = tmp_path_factory.mktemp("records") / "data"
    with open_instance(Settings(data=data)):
        return data


@pytest.fixture
def records(made: Path, tmp_path: Path) -> Path:
    """Return a folder of Dagster's records that a test may break, in `tmp_path / "data"`."""
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data" / "dagster"


def overwrite_the_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"x" * (len(content) - 4096))


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"garbage " * 2000), overwrite_the_end], ids=["garbage", "overwritten"]
)
def test_open_instance_names_broken_records_to_move_away(
    name: str, damage: Callable[[Path], None], records: Path, tmp_path: Path
) -> None:
    """Whichever file it is, the sentence names it; without it Dagster starts new records."""
    damage(records / name)
    settings = Settings(data=records.parent)
    with pytest.raises(FixStorage, match=rf"^{records / name} cannot be used \("), open_instance(settings):
        pass
    (records / name).rename(tmp_path / "away.db")
    with open_instance(settings) as instance:
        assert not instance.get_runs()


@pytest.mark.slow
def test_backfill_on_broken_records_prints_one_sentence(records: Path, tmp_path: Path) -> None:
    """It says what is lost with the file and what is not; without the file, the next backfill publishes everything."""
    (records / "history/runs.db").write_bytes(b"garbage " * 2000)
    code, stderr = backfill(tmp_path)
    assert code == 2
    assert stderr == (
        f"call-metrics: {records / 'history/runs.db'} cannot be used (file is not a database); move it away: Dagster's "
        "records of earlier runs go with it, the data do not\n"
    )
    (records / "history/runs.db").unlink()
    with Emulator(WORLD) as emulator:
        assert backfill(tmp_path, emulator.url) == (0, "")
        assert_published(Flow(Settings(data=tmp_path / "data")), emulator.expected_rows())


def test_backfill_with_a_broken_configuration_prints_one_sentence(records: Path, tmp_path: Path) -> None:
    """It names dagster.yaml and the place in it."""
    (records / "dagster.yaml").write_text("concurrency: [\n  : x")
    code, stderr = backfill(tmp_path)
    assert (code, stderr.count("\n")) == (2, 1)
    assert stderr.startswith(f"call-metrics: {records / 'dagster.yaml'} cannot be used (")
    assert stderr.endswith("line 2, column 3); correct it, or move it away\n")


@pytest.mark.parametrize(
    "text", ["conc: 3", "hello", "storage: {sqlite: {base_dir: {env: IT_IS_NOT_SET}}}", "\x00", "[1]"]
)
def test_open_instance_names_a_configuration_that_cannot_be_used(text: str, records: Path) -> None:
    """An unknown key, not a mapping, an unset variable, not a text: the sentence names dagster.yaml."""
    (records / "dagster.yaml").write_text(text)
    sentence = rf"^{records / 'dagster.yaml'} cannot be used \(.*\); correct it, or move it away$"
    with pytest.raises(FixSettings, match=sentence), open_instance(Settings(data=records.parent)):
        pass


@pytest.mark.parametrize("name", ["history", "schedules"])
def test_open_instance_names_a_file_in_the_place_of_a_folder(name: str, records: Path) -> None:
    """If Dagster cannot create a folder, the sentence names the file that is there instead."""
    shutil.rmtree(records / name)
    (records / name).write_text("")
    sentence = rf"^{records / name} cannot be used \(it is not a folder\); move it away"
    with pytest.raises(FixStorage, match=sentence), open_instance(Settings(data=records.parent)):
        pass


@pytest.mark.parametrize("statement", [None, "INSERT INTO event_logs VALUES (1)"])
def test_full_disk_is_one_sentence(statement: str | None, tmp_path: Path) -> None:
    """Neither the SQL nor SQLAlchemy's address is in it."""
    error = OperationalError(statement, None, sqlite3.OperationalError("database or disk is full"))
    assert "sqlalche.me" in str(error)
    assert str(unusable_records(tmp_path, error)) == (
        f"Dagster's records in {tmp_path} cannot be used ((sqlite3.OperationalError) database or disk is full); check "
        "that it is writable and that the disk is not full"
    )


def test_ui_does_not_start_on_broken_records(records: Path) -> None:
    """`call-metrics ui` checks the folder of the instance first, and prints the same sentence."""
    (records / RECORDS[0]).write_bytes(b"garbage " * 2000)
    process = subprocess.run(
        [sys.executable, "-m", "pipeline", "ui"],
        capture_output=True,
        text=True,
        cwd=records,
        env={"PATH": os.environ["PATH"], "HOME": str(records), "CALL_METRICS_DATA": str(records.parent)},
        timeout=150,
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"call-metrics: {records / RECORDS[0]} cannot be used (")
    assert process.stderr.count("\n") == 1


def test_home_is_the_folder_with_the_configuration(records: Path) -> None:
    """Records without errors are opened, and the folder has a dagster.yaml."""
    assert home(Settings(data=records.parent)) == records
    assert (records / "dagster.yaml").exists()


def test_home_of_dagster_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variable. A folder that is missing is created."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for given, sentence in (
        ("relative", f"DAGSTER_HOME is 'relative'; write an absolute path, such as {tmp_path / 'relative'}"),
        (f"{tmp_path}/file", f"DAGSTER_HOME is '{tmp_path}/file', which is not a folder; set it to a folder"),
    ):
        monkeypatch.setenv("DAGSTER_HOME", given)
        with pytest.raises(FixSettings) as refused:
            home(Settings(data=tmp_path / "data"))
        assert str(refused.value) == sentence
    monkeypatch.setenv("DAGSTER_HOME", f"{tmp_path}/missing/home")
    assert home(Settings(data=tmp_path / "data")) == tmp_path / "missing" / "home"
