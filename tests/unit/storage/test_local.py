"""A folder as a store: what `files` does, by key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.settings import Settings
from pipeline.storage import LocalStore, StoredFile, as_file, as_store, open_store


def test_folder_is_a_store_of_whole_files(tmp_path: Path) -> None:
    """Files have the paths of their keys, and appear when they are complete."""
    store = open_store(Settings(data=tmp_path)).below("raw")
    with store.replacing("a/x") as path:
        path.write_bytes(b"1")
        assert not store.exists("a/x")
    assert (tmp_path / "raw" / "a" / "x").read_bytes() == b"1"
    assert (store.names(), store.names("a"), store.names("none")) == (["a"], ["x"], [])
    assert (store.folders_with("", "x"), store.folders_with("", "y")) == (["a"], [])
    assert (store.path("a/x"), store.url) == (tmp_path / "raw" / "a" / "x", str(tmp_path / "raw"))
    before = store.versions("a")
    os.utime(store.path("a/x"), ns=(1, 1))
    assert store.versions("a").keys() == before.keys()
    assert store.versions("a") != before
    assert store.sizes() == {"a/x": 1}
    assert store.below("none").sizes() == {}
    store.delete("a/x", "none")
    assert store.names("a") == []


def test_folder_tells_sizes_and_is_tidied(tmp_path: Path) -> None:
    """Sizes are those of all files below a folder; a folder is removed once nothing is in it."""
    store = LocalStore(tmp_path)
    store.create("raw/a/x", b"123")
    store.create("raw/y", b"1")
    store.create("tables/z", b"")
    assert store.sizes("raw") == {"raw/a/x": 3, "raw/y": 1}
    assert store.below("raw").sizes() == {"a/x": 3, "y": 1}
    assert store.sizes("none") == {}
    store.tidy("raw/a")
    assert store.names("raw") == ["a", "y"]
    store.delete("raw/a/x")
    store.tidy("raw/a")
    store.tidy("none")
    assert store.names("raw") == ["y"]


def test_folder_deletes_leftovers_before_writing(tmp_path: Path) -> None:
    """What a killed process left behind is deleted, and nothing else."""
    store = LocalStore(tmp_path)
    store.prepare("raw/a")
    (tmp_path / "raw" / "a" / ".x.0123.tmp").touch()
    (tmp_path / "raw" / "a" / "x").touch()
    store.prepare("raw/a")
    assert store.names("raw/a") == ["x"]


def test_folder_creates_a_file_once(tmp_path: Path) -> None:
    """A file that is there is kept."""
    store = LocalStore(tmp_path / "new")
    assert store.create("id", b"1")
    assert not store.create("id", b"2")
    assert StoredFile(store, "id").read_bytes() == b"1"


def test_folder_keeps_quarantined_files(tmp_path: Path) -> None:
    """They are listed wherever they are."""
    store = LocalStore(tmp_path)
    store.create("raw/a/x", b"1")
    store.below("raw").quarantine("a/x", "is broken", "it will be fetched again")
    (path,) = store.quarantined()
    assert path.name.startswith("x.set-aside-")
    assert not store.exists("raw/a/x")


def test_file_in_a_store_is_one_value(tmp_path: Path) -> None:
    """It prints as its path, and a path stands for a file of this machine."""
    file = as_file(tmp_path / "list.json")
    assert str(file) == str(tmp_path / "list.json")
    assert (file.exists(), file.create(b"1"), file.create(b"2"), file.exists()) == (False, True, False, True)
    file.replace(b"3")
    assert (file.read_bytes(), as_file(file)) == (b"3", file)
    file.delete()
    with pytest.raises(FileNotFoundError):
        file.read_bytes()
    assert isinstance(as_store(tmp_path), LocalStore)


def test_object_store_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is in an extra, which one sentence names."""
    monkeypatch.setitem(__import__("sys").modules, "obstore.exceptions", None)
    with pytest.raises(FixSettings, match=r"run `pip install 'call-metrics\[scale\]'`$"):
        open_store(Settings(data="s3://bucket/prefix", scratch=tmp_path))
