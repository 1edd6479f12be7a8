"""A folder of this machine as a store. How files are replaced, flushed to disk and quarantined is in `files`."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path, PurePath
from typing import BinaryIO

from pipeline import files
from pipeline.storage.versions import OldVersions

__all__ = ["LocalStore"]


class LocalStore:
    """The files under a folder, see `Store`."""

    is_remote = False

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._root)

    def below(self, folder: str) -> LocalStore:
        """Return the store of everything in a folder."""
        return LocalStore(self._root / folder)

    def path(self, key: str) -> Path:
        """Return where a file or folder is."""
        return self._root / key

    def names(self, folder: str = "") -> list[str]:
        """Return the names in a folder, sorted. Raises `FixStorage` if it cannot be read."""
        return files.names_in(self._root / folder)

    def folders_with(self, folder: str, name: str) -> list[str]:
        """Return the names of the folders in a folder that have a file of this name, sorted."""
        return [inner for inner in self.names(folder) if (self.path(folder) / inner / name).is_file()]

    def list_keys(self) -> list[str]:
        """Return the keys of all files at any depth, sorted."""
        return sorted(path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file())

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Return the bytes of all files in a folder, at any depth, by key."""
        found = {}
        for path in self.path(folder).rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                if stat.S_ISREG((status := path.lstat()).st_mode):
                    found[path.relative_to(self._root).as_posix()] = status.st_size
        return found

    def old_versions(self) -> OldVersions:
        """Return that a deleted file is gone."""
        return OldVersions.NONE

    def delete_old_versions(self, *folders: str) -> None:
        """Do nothing: there are none."""

    def versions(self, folder: str) -> Mapping[str, object]:
        """Return when each file of a folder was last written, in nanoseconds."""
        found: dict[str, object] = {}
        for name in self.names(folder):
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                found[name] = (self.path(folder) / name).stat().st_mtime_ns
        return found

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return self.path(key).is_file()

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading."""
        return self.path(key).open("rb")

    @contextmanager
    def replacing(self, key: str) -> Iterator[Path]:
        """Replace a file, see `files.replacing`. Creates its folder."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            yield temporary

    def adding(self, key: str) -> AbstractContextManager[Path]:
        """Add a file. Names are unique, so that it replaces none."""
        return self.replacing(key)

    def create(self, key: str, content: bytes) -> bool:
        """Write a small file unless there is one already."""
        if self.path(key).exists():
            return False
        with self.replacing(key) as temporary:
            temporary.write_bytes(content)
        return True

    def delete(self, *keys: str) -> None:
        """Delete files, if they are there."""
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def tidy(self, folder: str) -> None:
        """Delete the temporary files of a killed process in a folder, and the folder if nothing else is in it."""
        files.remove_leftovers(self.path(folder))
        with contextlib.suppress(OSError):  # something is in it: a quarantined file
            self.path(folder).rmdir()

    def quarantine(self, key: str, why: str, then: str) -> str:
        """Rename a file so that we no longer read it, see `files.quarantine`."""
        return files.quarantine(self.path(key), why, then)

    def quarantined(self) -> Sequence[PurePath]:
        """Return all quarantined files, sorted."""
        return files.quarantined_below(self._root)

    def prepare(self, folder: str) -> None:
        """Create a folder, and delete the temporary files of a killed process."""
        self.path(folder).mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(self.path(folder))

    def listing_once(self) -> AbstractContextManager[None]:
        """Change nothing: listing a folder costs next to nothing."""
        return nullcontext()
