"""What a store can do, and a file in a store as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol

from pipeline.storage.local import LocalStore
from pipeline.storage.versions import OldVersions

__all__ = ["Store", "StoredFile", "as_file", "as_store"]


class Store(Protocol):
    """Whole files under one root, each appearing whole or not at all.

    Methods raise `OSError` as the functions of a file system do (`FileNotFoundError` if there is no such file), and
    `FixStorage` for a store that cannot be used at all: a bucket that does not exist, credentials that are refused.
    """

    @property
    def url(self) -> str:
        """The root, for messages: a path, or `s3://bucket/prefix`."""

    @property
    def is_remote(self) -> bool:
        """Whether other machines share the store, and every call is a request that costs time and money."""

    def below(self, folder: str) -> Store:
        """Return the store of everything in a folder."""

    def path(self, key: str) -> PurePath:
        """Return where a file or folder is, for messages and other programs: a `Path` if it is on this machine."""

    def names(self, folder: str = "") -> list[str]:
        """Return the names of the files and folders in a folder, sorted; none if there is no such folder."""

    def folders_with(self, folder: str, name: str) -> list[str]:
        """Return the names of the folders in a folder that have a file of this name, sorted."""

    def list_keys(self) -> list[str]:
        """Return the keys of all files at any depth, sorted: one request per 1,000."""

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Return the bytes of all files in a folder, at any depth, by key: one request per 1,000."""

    def old_versions(self) -> OldVersions:
        """Return what becomes of files that are replaced or deleted.

        Raises `FixStorage` if they are kept and we lack the right to delete them.
        """

    def delete_old_versions(self, *folders: str) -> None:
        """Delete what the store still has of replaced and deleted files in some folders, at any depth.

        Does nothing if old versions are out of our reach, see `old_versions`. Raises `FixStorage` if some are left.
        """

    def versions(self, folder: str) -> Mapping[str, object]:
        """Return a value per file of a folder, by name, that is another one once the file is replaced."""

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading. Of an object, only what is read is fetched."""

    def replacing(self, key: str) -> AbstractContextManager[Path]:
        """Replace a file as a whole: write to the yielded path, which takes its place when the block ends well."""

    def adding(self, key: str) -> AbstractContextManager[Path]:
        """Add a file under a name that no other file has or gets, otherwise like `replacing`."""

    def create(self, key: str, content: bytes) -> bool:
        """Write a small file unless there is one already. Returns whether it was written."""

    def delete(self, *keys: str) -> None:
        """Delete files, if they are there."""

    def tidy(self, folder: str) -> None:
        """Delete the temporary files that a killed process left in a folder, and the folder if nothing else is in it.

        Call it only in the turn of whoever writes there. Raises `OSError`.
        """

    def quarantine(self, key: str, why: str, then: str) -> str:
        """Rename a file so that we no longer read it, see `files.quarantine`."""

    def quarantined(self) -> Sequence[PurePath]:
        """Return all quarantined files, sorted."""

    def prepare(self, folder: str) -> None:
        """Make ready for writing to a folder: create it, and delete what a killed process left behind.

        Call it only while you hold the folder's lock.
        """

    def listing_once(self) -> AbstractContextManager[None]:
        """Within the block, ask for the names in a folder once, and keep count of our own changes.

        Only while you hold the lock of all folders concerned, or if an outdated answer does no harm.
        """


@dataclass(frozen=True)
class StoredFile:
    """One small file in a store."""

    store: Store
    key: str

    def __str__(self) -> str:
        return str(self.store.path(self.key))

    def read_bytes(self) -> bytes:
        """Return the content. Raises `FileNotFoundError` if there is no such file."""
        with self.store.open(self.key) as file:
            return file.read()

    def replace(self, content: bytes) -> None:
        """Write the whole content."""
        with self.store.replacing(self.key) as temporary:
            temporary.write_bytes(content)

    def exists(self) -> bool:
        """Return whether there is such a file."""
        return self.store.exists(self.key)

    def delete(self) -> None:
        """Delete the file, if there is one."""
        self.store.delete(self.key)

    def create(self, content: bytes) -> bool:
        """Write the whole content unless there is such a file. Returns whether it was written."""
        return self.store.create(self.key, content)


def as_store(root: Path | Store) -> Store:
    """Return the store at a root; of a path, a folder of this machine."""
    return LocalStore(root) if isinstance(root, Path) else root


def as_file(file: Path | StoredFile) -> StoredFile:
    """Return a file in a store; of a path, a file of this machine."""
    return StoredFile(LocalStore(file.parent), file.name) if isinstance(file, Path) else file
