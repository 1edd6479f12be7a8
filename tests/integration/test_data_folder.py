"""The data folder: moved, shared, not writable, of the demo, and never outside itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, ManualClock, World
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, call


def test_data_folder_does_not_publish_over_another_ones_database(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """With one CALL_METRICS_WAREHOUSE for two data folders, the second is refused in one sentence."""
    shared = tmp_path / "shared.duckdb"
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator, warehouse_file=shared).run(DAY)
        other = flow_for(emulator, warehouse_file=shared, data=tmp_path / "other")
        with pytest.raises(FixStorage, match="was published from another data folder; set CALL_METRICS_WAREHOUSE"):
            other.run(DAY)
        assert_published(flow_for(emulator, warehouse_file=shared), emulator.expected_rows())


@pytest.mark.slow
def test_data_folder_can_be_moved(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Nothing in it contains its own path."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator).run(DAY)
        shutil.move(tmp_path / "data", tmp_path / "elsewhere")
        emulator.clear_requests()
        moved = flow_for(emulator, data=tmp_path / "elsewhere")
        moved.run(DAY)
        assert emulator.count("participant_metrics") == 0
        assert_published(moved, emulator.expected_rows())


def test_data_folder_that_cannot_be_written_is_named(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """The error names the path if a file is in the way."""
    (tmp_path / "file").write_text("")
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator, pytest.raises(FixStorage, match="file/data"):
        flow_for(emulator, data=tmp_path / "file" / "data").run(DAY)


def test_ids_that_look_like_paths_or_sql_stay_ids(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Nothing that the API sends becomes a file name or SQL."""
    names = ("../../../escaped", "'; DROP TABLE call_sessions; --", "a/b?c#d%e", "..", "ünï\u2028", '"quoted"')
    world = World(tuple(call(name, minutes=5) for name in names))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert_published(flow, emulator.expected_rows())
        assert not list(tmp_path.rglob("*escaped*"))
        assert {path.name for path in tmp_path.iterdir()} == {"data"}


@pytest.mark.slow
def test_data_folder_of_the_demo_refuses_a_real_source(flow_for: Callable[..., Flow]) -> None:
    """The demo's emulator may continue, and a source that is not on this machine is refused."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator).run(DAY)
        flow_for(emulator).settings.demo_mark.touch()
        flow_for(emulator).run(DAY)
        with pytest.raises(FixSettings, match="holds the data of the demo; set CALL_METRICS_DATA to another folder"):
            flow_for(emulator, base_url="https://video.stream-io-api.com").run(DAY)
