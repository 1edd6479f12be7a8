"""Backup and restore: a copy that is taken while a backfill runs, a torn copy, and a copy of a DuckLake."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, ManualClock, Quota, uniform_world
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.landing import writer
from tests.support.command_line import YESTERDAY
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, published

SKIPPED = (".work", "dagster")
"""What docs/backup.md says not to copy."""

LARGE = uniform_world(YESTERDAY, calls=10, people=4, minutes=55, step_seconds=60)
WINDOWS = 10 * 4 * 2


def files_in_order(folder: Path) -> Iterator[Path]:
    """Yield files as a copying tool meets them: each folder is listed when it is reached, `raw` before `tables`."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in SKIPPED:
            yield from files_in_order(path)
        elif path.is_file():
            yield path


def copy_slowly(source: Path, target: Path, pause: float = 0.0) -> None:
    """Copy a data folder file by file. What vanished meanwhile is left out."""
    for path in files_in_order(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, place)
        except FileNotFoundError:
            place.unlink(missing_ok=True)
        time.sleep(pause)


def landed_windows(flow: Flow) -> int:
    """Return how many windows of the day have a response."""
    rows = flow.landing.index("participant_metrics", YESTERDAY).select(["user_session_id", "since"]).to_pylist()
    return len({tuple(row.values()) for row in rows})


def test_a_copy_taken_during_a_backfill_is_made_whole_by_the_next_one(
    flow_for: Callable[..., Flow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those windows are requested again whose segments are not in the copy, and the rows are the source's."""
    monkeypatch.setattr(writer, "SEGMENT_SECONDS", 0.05)
    quotas = {"participant_metrics": Quota(20, 1.0)}
    with Emulator(LARGE, quotas=quotas) as emulator:
        flow = flow_for(emulator)
        backfill = threading.Thread(target=flow.run, args=(YESTERDAY,))
        backfill.start()
        while not flow.landing.names("participant_metrics", YESTERDAY):  # three seconds before the last one
            time.sleep(0.01)
        copy_slowly(flow.settings.data, tmp_path / "copy", pause=0.02)
        backfill.join()
        restored = flow_for(emulator, data=tmp_path / "copy")
        held = landed_windows(restored)
        assert 0 < held < WINDOWS
        before = emulator.count("participant_metrics", 200)
        assert restored.run(YESTERDAY).is_complete
        assert emulator.count("participant_metrics", 200) - before == WINDOWS - held
        assert_published(restored, emulator.expected_rows())


@pytest.mark.slow
def test_a_torn_copy_is_repaired(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Files that were copied by half are quarantined, and their content is fetched or built again."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        copy_slowly(flow.settings.data, tmp_path / "copy")
        restored = flow_for(emulator, data=tmp_path / "copy")
        (segment,) = restored.landing.segments("participant_metrics", DAY)
        torn = [Path(segment), Path(restored.lake.path("windows", DAY)), tmp_path / "copy" / "warehouse.duckdb"]
        for path in torn:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
        assert restored.run(DAY).is_complete
        assert_published(restored, emulator.expected_rows())
        assert {path.name.partition(".set-aside")[0] for path in restored.quarantined()} == {path.name for path in torn}


@pytest.mark.slow
def test_a_lake_is_restored_from_its_catalog_and_files_copied_after_it(
    flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """A day that is published again meanwhile does no harm. If files of the copy are gone, a new lake is made."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=f"ducklake:{tmp_path / 'data' / 'catalog.ducklake'}")
        flow.run(DAY)
        before = {table: published(flow, table) for table in ("windows", "metric_points")}
        catalog = tmp_path / "copy" / "catalog.ducklake"
        catalog.parent.mkdir()
        shutil.copyfile(tmp_path / "data" / "catalog.ducklake", catalog)
        flow.load([DAY], rebuild=True)
        flow.clean_lake()
        copy_slowly(tmp_path / "data" / "lake", tmp_path / "copy" / "lake")
        copy_slowly(tmp_path / "data" / "raw", tmp_path / "copy" / "raw")
        copy_slowly(tmp_path / "data" / "tables", tmp_path / "copy" / "tables")
        shutil.copyfile(tmp_path / "data" / "lake-id", tmp_path / "copy" / "lake-id")
        restored = flow_for(emulator, data=tmp_path / "copy", warehouse_file=f"ducklake:{catalog}")
        assert {table: published(restored, table) for table in before} == before
        for path in (tmp_path / "copy" / "lake").rglob("*.parquet"):
            path.unlink()
        with pytest.raises(FixStorage, match="cannot be used"):
            restored.rebuild([DAY])
        catalog.unlink()
        (tmp_path / "copy" / "lake-id").unlink()
        flow_for(emulator, data=tmp_path / "copy", warehouse_file=f"ducklake:{catalog}").load([])
        assert {table: published(restored, table) for table in before} == before
