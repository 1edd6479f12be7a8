"""Files: replaced whole, read with errors that say what to do, quarantined when broken, in folders by day."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import Broken, FixStorage
from pipeline.files import (
    copy_file,
    day_folder,
    day_of,
    locked,
    move_file,
    names_in,
    quarantine,
    quarantined,
    reading,
    remove_leftovers,
    replacing,
)
from tests.support import DAY, no_file_larger_than

# Replacing.


def test_replacing_changes_a_file_only_when_the_block_ends(tmp_path: Path) -> None:
    """Readers see the old content until then, and no temporary file is left."""
    path = tmp_path / "file"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_keeps_the_old_file_after_an_error(error: type[BaseException], tmp_path: Path) -> None:
    """Whatever ends the block, the old content stays and the temporary file is deleted."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012 - the block is what fails
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_replacing_keeps_the_old_file_if_the_disk_is_full(tmp_path: Path) -> None:
    """The error is that of the system."""
    path = tmp_path / "file"
    path.write_text("old")
    with no_file_larger_than(4), pytest.raises(OSError), replacing(path) as temporary:
        temporary.write_text("too long")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_replacing_without_writing_is_an_error(tmp_path: Path) -> None:
    """A block that wrote nothing does not remove the old file."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_replacing_by_two_writers_at_once_leaves_one_whole_file(tmp_path: Path) -> None:
    """Each writer has a temporary file of its own, and the last one to finish wins."""
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("target", ["another.bin", "/dev/shm/another.bin"], ids=["here", "in another file system"])
def test_copy_has_the_content_of_the_file(target: str, tmp_path: Path) -> None:
    """Also if the kernel cannot copy it, and if something was there before."""
    source = tmp_path / "one.bin"
    source.write_bytes(os.urandom(3_000_001))
    copy = tmp_path / target  # the absolute path stays as it is
    if not copy.parent.is_dir():
        pytest.skip("no /dev/shm")
    try:
        copy.write_bytes(b"before" * 1_000_000)
        copy_file(source, copy)
        assert copy.read_bytes() == source.read_bytes()
        with source.open("r+b") as file:
            file.write(b"later")
        assert copy.read_bytes()[:5] != b"later"
    finally:
        copy.unlink(missing_ok=True)


def test_copy_reports_a_full_disk(tmp_path: Path) -> None:
    """What the kernel could not do is not tried again by other means."""
    source = tmp_path / "one.bin"
    source.write_bytes(bytes(2_000_000))
    with no_file_larger_than(1_000_000), pytest.raises(OSError) as caught:
        copy_file(source, tmp_path / "another.bin")
    assert caught.value.errno == errno.EFBIG


def test_moved_file_takes_the_place_of_the_other(tmp_path: Path) -> None:
    """Whoever has the other one open keeps it."""
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    with target.open() as reader:
        move_file(source, target)
        assert reader.read() == "old"
    assert target.read_text() == "new"
    assert not source.exists()


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """Only temporary files are deleted, those of `replacing` too."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / ".file.0a1b2c3d.tmp").write_text("half")
    remove_leftovers(tmp_path)
    assert names_in(tmp_path) == ["file"]


# Reading.


def refusal(error: Exception) -> FixStorage:
    """Return what an error while reading becomes: one sentence that names the file."""
    with pytest.raises(FixStorage) as caught, reading("some.parquet", "rebuild it"):
        raise error
    assert str(caught.value).startswith("some.parquet cannot be read ")
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number)) for number in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES)),
        pa.ArrowMemoryError("malloc of size 100 failed"),
        MemoryError(),
    ],
    ids=repr,
)
def test_reading_error_that_may_pass_does_not_make_a_file_broken(error: Exception) -> None:
    """Disk, network, permissions, descriptors and memory may be better the next time."""
    assert not isinstance(refusal(error), Broken)


@pytest.mark.parametrize(
    "error",
    [
        OSError("Couldn't deserialize thrift: no protocol\nmore about it"),
        pa.ArrowInvalid("Parquet magic bytes not found in footer"),
        pa.ArrowNotImplementedError("an encoding of tomorrow"),
    ],
    ids=repr,
)
def test_reading_error_about_the_content_makes_a_file_broken(error: Exception) -> None:
    """The error has the reason in one line, and says what to do."""
    broken = refusal(error)
    assert isinstance(broken, Broken)
    assert broken.reason == str(error).splitlines()[0]
    assert str(broken).endswith("; rebuild it")


# Quarantine.


def test_quarantine_keeps_content_and_write_ahead_log_of_each_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each file gets a name of its own, DuckDB's log is renamed with it, and all of them are found again."""
    path = tmp_path / "sub" / "some.duckdb"
    path.parent.mkdir()
    sentences = []
    for number in range(3):
        path.write_text(f"{number}")
        path.with_name("some.duckdb.wal").write_text(f"log of {number}")
        sentences.append(quarantine(path, "is broken", "it will be rebuilt"))
    assert [record.message for record in caplog.records] == sentences
    found = quarantined(tmp_path / "nowhere", path)
    assert found == quarantined(tmp_path, tmp_path / "elsewhere.duckdb")
    assert len(found) == 6
    for moved in found:
        if moved.suffix != ".wal":
            assert any(f"quarantined as {moved.name}; it will be rebuilt" in sentence for sentence in sentences)
            assert moved.with_name(f"{moved.name}.wal").read_text() == f"log of {moved.read_text()}"
    assert [path.name for path in path.parent.iterdir() if "set-aside" not in path.name] == []


# Folders.


@pytest.mark.parametrize(
    ("folder", "day"),
    [
        ("session_date=2026-11-01", date(2026, 11, 1)),
        ("session_date=2026-13-01", None),
        ("session_date=soon", None),
        ("session_date=", None),
        ("2026-11-01", None),
        ("notes.txt", None),
    ],
)
def test_day_of_a_folder_is_read_from_its_name(folder: str, day: date | None) -> None:
    """A folder of another name has no day."""
    assert day_of(folder) == day


def test_day_folder_has_the_day_in_its_name(tmp_path: Path) -> None:
    """The day can be read from the name again."""
    assert day_folder(tmp_path, DAY) == tmp_path / "session_date=2026-11-01"
    assert day_of(day_folder(tmp_path, DAY).name) == DAY


def test_names_in_are_sorted_names_and_none_without_the_folder(tmp_path: Path) -> None:
    """A folder that cannot be listed is an error that names it."""
    for name in ("b", "a"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    assert names_in(tmp_path / "folder") == ["a", "b"]
    assert names_in(tmp_path / "missing") == []
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FixStorage, match="file cannot be read"):
        names_in(tmp_path / "file")


# Locks.


def test_lock_is_held_by_one_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second waits for the first, logs once what it waits for, and as a detail how long it took."""
    caplog.set_level("DEBUG", logger="pipeline")
    path = tmp_path / "locks" / "day.lock"
    order: list[str] = []

    def second() -> None:
        with locked(path, "the day"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path, "the day"):
        thread.start()
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.005)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    waiting, waited = caplog.messages
    assert waiting == "another process is working on the day; waiting for it"
    assert re.fullmatch(r"waited \d+\.\d s for the day", waited)


def test_lock_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    """The error names the path if a file is in the way of its folder."""
    (tmp_path / "locks").write_text("not a folder")
    with (
        pytest.raises(FixStorage, match=r"locks/day\.lock cannot be locked"),
        locked(tmp_path / "locks" / "day.lock", "it"),
    ):
        pass


def test_quarantine_never_renames_what_is_not_a_regular_file(tmp_path: Path) -> None:
    """A device, such as /dev/null, or a pipe stays where it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is not a regular file"):
        quarantine(pipe, "is broken", "it will be rebuilt")
    assert list(tmp_path.iterdir()) == [pipe]
