"""Which errors speak of a file's content, and how files that are broken get out of the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import Broken, FixStorage
from pipeline.files import quarantine, quarantined, reading


def refusal(error: Exception) -> FixStorage:
    """What an error in the middle of reading becomes: one sentence that names the file."""
    with pytest.raises(FixStorage) as caught, reading("some.parquet", "make it anew"):
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
def test_what_passes_says_nothing_of_the_content(error: Exception) -> None:
    """Disk, network, rights, descriptors and memory may be better the next time."""
    assert not isinstance(refusal(error), Broken)


@pytest.mark.parametrize(
    "error",
    [
        OSError("Couldn't deserialize thrift: no protocol\nmore of it"),
        pa.ArrowInvalid("Parquet magic bytes not found in footer"),
        pa.ArrowNotImplementedError("an encoding of tomorrow"),
    ],
    ids=repr,
)
def test_what_the_reader_cannot_make_sense_of_is_broken(error: Exception) -> None:
    """With the reason in one line, and what to do about it."""
    broken = refusal(error)
    assert isinstance(broken, Broken)
    assert broken.reason == str(error).splitlines()[0]
    assert str(broken).endswith("; make it anew")


def test_files_that_are_set_aside_keep_content_and_company(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each gets a name of its own, DuckDB's log goes along, one sentence is said and all of them are found again."""
    path = tmp_path / "sub" / "some.duckdb"
    path.parent.mkdir()
    sentences = []
    for number in range(3):
        path.write_text(f"{number}")
        path.with_name("some.duckdb.wal").write_text(f"log of {number}")
        sentences.append(quarantine(path, "is broken", "it will be rebuilt"))
    assert [record.message for record in caplog.records] == sentences
    held = quarantined(tmp_path / "nowhere", path)
    assert held == quarantined(tmp_path, tmp_path / "elsewhere.duckdb")
    assert len(held) == 6
    for aside in held:
        if aside.suffix != ".wal":
            assert any(f"quarantined as {aside.name}; it will be rebuilt" in sentence for sentence in sentences)
            assert aside.with_name(f"{aside.name}.wal").read_text() == f"log of {aside.read_text()}"
    assert [path.name for path in path.parent.iterdir() if "set-aside" not in path.name] == []
