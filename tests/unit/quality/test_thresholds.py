"""The file of thresholds: written with defaults, edited by users, read with every load."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.files import locked
from pipeline.quality.thresholds import THRESHOLDS_FILE, read_thresholds, replace_thresholds
from tests.support.small_world import SmallWorld, only, rows_of, steady


def test_thresholds_are_written_with_defaults_then_read(world: SmallWorld, tmp_path: Path) -> None:
    """The first load writes the file. Edits are in the next database, even if no day changed."""
    world.track(steady(0, 60, framerate=10))
    path = tmp_path / "data" / THRESHOLDS_FILE
    with world.load(tmp_path, path) as database:
        assert only(rows_of(database, "FROM track_quality"))["class"] == "good"
    path.write_text(path.read_text().replace("camera,7,", "camera,12,"))
    with world.load(tmp_path, path) as database:
        assert only(rows_of(database, "FROM track_quality"))["class"] == "poor"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("track_kind,low_framerate", "track_kind,framerate", "the first line has no column low_framerate"),
        ("min_coverage\n", "min_coverage,colour\n", "'colour' is not a threshold"),
        ("camera,7", "camera,seven", "line 2: low_framerate is 'seven'; it must be a number"),
        ("camera,7", "camera,7.5", "line 2: low_framerate is 7.5; it must be a whole number from 0 to 60"),
        ("camera,7,15,0.1", "camera,7,15,10", "it must be between 0 and 1"),
        ("camera,7,15,0.1,0.05,,30", "camera,7,15,0.1,0.05,,-1", "min_active_seconds is -1; it must be 0 or more"),
        ("camera,7,15,0.1,0.05,,30", "camera,7,15,0.1,0.05,,nan", "min_active_seconds is nan; it must be 0 or more"),
        ("\naudio,,", "\ncamera,,", "camera appears twice"),
        ("\naudio,,", "\nsmell,,", "'smell' is not a kind of track"),
        ("other,,,", "other,", "line 6 must have 8 fields, like the first line"),
        ("camera,7", "camera,7,7", "line 2 must have 8 fields, like the first line"),
    ],
)
def test_thresholds_with_an_error_are_refused_in_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The sentence names the file, the line and what to do."""
    path = tmp_path / THRESHOLDS_FILE
    read_thresholds(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FixSettings) as refused:
        read_thresholds(path)
    sentence = str(refused.value)
    assert message in sentence
    assert str(path) in sentence
    assert "\n" not in sentence


def test_thresholds_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """For example a file that a spreadsheet saved in its own format."""
    path = tmp_path / THRESHOLDS_FILE
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(FixSettings, match="UTF-8"):
        read_thresholds(path)


def test_kind_without_thresholds_has_no_rule(world: SmallWorld, tmp_path: Path) -> None:
    """The file may leave out kinds of tracks."""
    world.track(steady(0, 60, framerate=1))
    with world.load(tmp_path) as database:
        assert replace_thresholds(database, [])
        assert only(rows_of(database, "FROM track_quality"))["unclassified_due_to"] == "no rule"


def test_thresholds_edited_while_a_load_waits_are_in_it(
    world: SmallWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A load reads the file once it is its turn."""
    world.track(steady(0, 60, framerate=10))
    path = tmp_path / THRESHOLDS_FILE
    world.load(tmp_path, path).close()
    with caplog.at_level(logging.INFO, "pipeline.files"), ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "locks" / "warehouse.lock", "a test"):
            loading = pool.submit(world.load, tmp_path, path)
            while "waiting for it" not in caplog.text and not loading.done():
                time.sleep(0.01)
            path.write_text(path.read_text().replace("camera,7,", "camera,12,"))
        with loading.result(60) as database:
            assert only(rows_of(database, "FROM track_quality"))["class"] == "poor"
