"""The Dagster instance of the command line: its folder, and what is wrong with it if it cannot be used.

Dagster keeps its records of runs and schedules there, in SQLite. Nothing that landed is in them. How a day runs is in
`runner`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import FixSettings, FixStorage
from pipeline.files import locked
from pipeline.orchestration.run_locks import end_dead_runs
from pipeline.settings import Settings

__all__ = ["home", "open_instance", "recorded_instance", "unusable_records"]

OVERRIDES = {
    "telemetry": {"enabled": False},
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    },
}
"""Configuration of runs in this process: no telemetry, and what steps print is not captured."""

DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Dagster's records, in the folder of the instance."""

MAX_REASON = 200
"""Characters that are kept of an error message of Dagster or SQLAlchemy."""


def home(settings: Settings) -> Path:
    """Prepare and check the folder of the Dagster instance, and return it. Raises what `open_instance` raises."""
    with open_instance(settings):
        return _folder(settings)


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance for runs in this process. Runs whose process is dead are ended first.

    Raises `FixSettings` if dagster.yaml cannot be used, and `FixStorage` if the records of runs cannot.
    """
    logging.getLogger("dagster").setLevel(logging.ERROR)  # it warns if there is no dagster.yaml, which needs no action
    folder = _folder(settings)
    try:
        with locked(folder / ".call-metrics.lock", "Dagster's records"):  # two processes cannot create them at once
            instance = _load_instance(folder)
            _read_records(instance)
            end_dead_runs(instance, settings)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise unusable_records(folder, error) from None
    with instance:
        yield instance


@contextmanager
def recorded_instance(settings: Settings) -> Iterator[tuple[dg.DagsterInstance | None, Path]]:
    """Open the Dagster instance to read its records, and yield it with its folder. It is None if there is none yet.

    Raises `FixSettings` if DAGSTER_HOME or dagster.yaml cannot be used, and `FixStorage` if the records cannot.
    """
    logging.getLogger("dagster").setLevel(logging.ERROR)
    folder = _place(settings)
    if not (folder / "dagster.yaml").exists():
        yield None, folder
        return
    try:
        instance = _load_instance(folder)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise unusable_records(folder, error) from None
    with instance:
        yield instance, folder


def unusable_records(folder: Path, error: Exception) -> FixStorage:
    """Return the sentence about records that cannot be used. It names the file to move away, if there is one."""
    for name in DATABASES:
        if (reason := _damage(folder / name)) is not None:
            return _move_away(folder / name, reason)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return _move_away(Path(error.filename), "it is not a folder")
    return FixStorage(
        f"Dagster's records in {folder} cannot be used ({_reason(error)}); check that it is writable and that the disk "
        "is not full"
    )


def _place(settings: Settings) -> Path:
    """Return where the folder of the instance is: DAGSTER_HOME if it is set, else a folder under the data root."""
    given = os.environ.get("DAGSTER_HOME")
    folder = Path(given) if given else settings.root / "dagster"
    if given and not folder.is_absolute():
        raise FixSettings(f"DAGSTER_HOME is {given!r}; write an absolute path, such as {folder.absolute()}")
    return folder


def _folder(settings: Settings) -> Path:
    """Prepare the folder of the instance, with our dagster.yaml if it is under the data root, and return it."""
    given = os.environ.get("DAGSTER_HOME")
    folder = _place(settings)
    if given and folder.exists() and not folder.is_dir():
        raise FixSettings(f"DAGSTER_HOME is {given!r}, which is not a folder; set it to a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not given and not (folder / "dagster.yaml").exists():
            shutil.copyfile(_configuration(), folder / "dagster.yaml")
    except OSError as error:
        raise FixStorage(
            f"{folder} cannot be written ({error.strerror or error}); make it writable, or set another"
        ) from None
    return folder


def _configuration() -> Path:
    """Return the dagster.yaml of the checkout, or the copy in an installed package."""
    packaged = Path(str(resources.files(__package__).joinpath("dagster.yaml")))
    return packaged if packaged.exists() else Path(__file__).parents[2] / "dagster.yaml"


def _load_instance(folder: Path) -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=OVERRIDES))
    except (SQLAlchemyError, sqlite3.Error, FileExistsError):
        raise
    except Exception as error:  # noqa: BLE001 - Dagster, its configuration and YAML raise all kinds for a wrong file
        raise FixSettings(
            f"{folder / 'dagster.yaml'} cannot be used ({_reason(error)}); correct it, or move it away"
        ) from None


def _read_records(instance: dg.DagsterInstance) -> None:
    """Read a little from each database, so that a broken one is noticed before a run."""
    instance.get_runs(limit=1)
    instance.has_asset_key(dg.AssetKey("none"))
    instance.all_instigator_state()


def _damage(path: Path) -> str | None:
    """Return what is wrong with a file of SQLite. None if it is in order, locked, or missing."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        is_passing = any(words in str(error) for words in ("locked", "disk I/O error", "disk is full"))
        return None if is_passing else str(error)
    return None if verdict == "ok" else " ".join(str(verdict).split())


def _move_away(path: Path, reason: str) -> FixStorage:
    return FixStorage(
        f"{path} cannot be used ({reason}); move it away: Dagster's records of earlier runs go with it, the data do not"
    )


def _reason(error: Exception) -> str:
    """Return the message of an error of other software on one line, cut to `MAX_REASON`.

    SQLAlchemy adds the SQL, and an address with the background. Neither helps the reader.
    """
    text = " ".join(str(error).split("\n[SQL")[0].split("\n(Background")[0].split())
    return f"{text[:MAX_REASON]}…" if len(text) > MAX_REASON else text
