"""A prefix of a bucket as a store: S3 and what speaks its protocol, Azure, and Google Cloud Storage.

A file is written to a scratch folder and put whole. What is sent to the bucket is in `bucket`, and how it is reached in
`connect`.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from pipeline.files import QUARANTINE_MARK, log_quarantine, quarantine_names, remove_leftovers
from pipeline.storage.bucket import Bucket
from pipeline.storage.versions import OldVersions

__all__ = ["ObjectPath", "ObjectStore"]


class ObjectPath(PurePosixPath):
    """Where an object is, such as `s3://bucket/prefix/raw/folder-id`. As text it keeps both slashes."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)


class ObjectStore:
    """The objects under a prefix, see `Store`. Files that are being written are in `scratch`."""

    is_remote = True

    def __init__(self, url: str, scratch: Path) -> None:
        self._bucket = Bucket(url)
        self._scratch = scratch
        self._folder = ""

    @property
    def url(self) -> str:
        """The root, such as `s3://bucket/prefix`."""
        return str(self.path(""))

    def below(self, folder: str) -> ObjectStore:
        """Return the store of everything in a folder."""
        inner = ObjectStore.__new__(ObjectStore)
        inner._bucket, inner._scratch, inner._folder = self._bucket, self._scratch, self._key(folder)
        return inner

    def path(self, key: str) -> ObjectPath:
        """Return where an object is."""
        return ObjectPath(self._bucket.url, self._key(key))

    def names(self, folder: str = "") -> list[str]:
        """Return the names of the objects and folders in a folder, sorted."""
        objects, folders = self._bucket.listing(self._key(folder))
        return sorted({*objects, *folders})

    def folders_with(self, folder: str, name: str) -> list[str]:
        """Return the names of the folders in a folder that have an object of this name: one request per 1,000."""
        paths = [PurePosixPath(key) for key in self._bucket.keys(self._key(folder))]
        depth = len(PurePosixPath(self._key(folder)).parts) + 2
        return sorted(path.parent.name for path in paths if path.name == name and len(path.parts) == depth)

    def list_keys(self) -> list[str]:
        """Return the keys of all objects at any depth, sorted: one request per 1,000."""
        return sorted(self.sizes())

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Return the bytes of all objects in a folder, at any depth, by key: one request per 1,000."""
        start = len(self._folder) + 1 if self._folder else 0
        return {key[start:]: size for key, size in self._bucket.sizes(self._key(folder)).items()}

    def old_versions(self) -> OldVersions:
        """Return what becomes of objects that are replaced or deleted. Puts an object to see, and deletes it.

        Raises `FixStorage` if the credentials lack the right to delete versions.
        """
        return self._bucket.old_versions(self._key(""))

    def delete_old_versions(self, *folders: str) -> None:
        """Delete the old versions of objects in some folders, see `Store`."""
        if self.old_versions() is OldVersions.DELETABLE or self._bucket.url.startswith("gs://"):
            for folder in folders:
                self._bucket.delete_old_versions(self._key(folder))

    def versions(self, folder: str) -> Mapping[str, object]:
        """Return the entity tag of each object in a folder."""
        return {name: meta.etag for name, meta in self._bucket.listing(self._key(folder))[0].items()}

    def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        return self._bucket.head(self._key(key)) is not None

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading. Each read fetches its range of the object as it was when it was opened."""
        return self._bucket.open(self._key(key))

    @contextmanager
    def replacing(self, key: str) -> Iterator[Path]:
        """Put an object as a whole, in the place of one that may be there."""
        with self._temporary(key) as temporary:
            yield temporary
            self._bucket.put(self._key(key), temporary)

    @contextmanager
    def adding(self, key: str) -> Iterator[Path]:
        """Put an object under a name that no other has. Raises `FileExistsError` if another one has it."""
        with self._temporary(key) as temporary:
            yield temporary
            if not self._bucket.put_if_absent(self._key(key), temporary.read_bytes()):
                raise FileExistsError(errno.EEXIST, "the name is taken", str(self.path(key)))

    def create(self, key: str, content: bytes) -> bool:
        """Put a small object unless there is one already."""
        return self._bucket.put_if_absent(self._key(key), content)

    def delete(self, *keys: str) -> None:
        """Delete objects, if they are there."""
        self._bucket.delete([self._key(key) for key in keys])

    def tidy(self, folder: str) -> None:
        """Do nothing: without objects there is no folder."""

    def quarantine(self, key: str, why: str, then: str) -> str:
        """Rename an object so that we no longer read it, see `files.quarantine`."""
        source = PurePosixPath(self._key(key))
        names = quarantine_names(source.name)
        target = next(name for name in names if self._bucket.head(str(source.with_name(name))) is None)
        self._bucket.move(str(source), str(source.with_name(target)))
        return log_quarantine(self.path(key), why, target, then)

    def quarantined(self) -> Sequence[PurePath]:
        """Return all quarantined objects, sorted. Lists everything there is."""
        found = [key for key in self._bucket.keys(self._folder) if QUARANTINE_MARK in PurePosixPath(key).name]
        return [ObjectPath(self._bucket.url, key) for key in sorted(found)]

    def prepare(self, folder: str) -> None:
        """Delete what a killed process left in the scratch folder. Raises `FixStorage` if the store is unusable."""
        self._bucket.probe(self._key(""))
        remove_leftovers(self._puts, f".{self._flat(folder)}=*.tmp")

    def probe(self) -> None:
        """Raise `FixStorage` unless objects can be put here, and only where there is none."""
        self._bucket.probe(self._key(""))

    @contextmanager
    def listing_once(self) -> Iterator[None]:
        """Within the block, list each folder once, and keep count of our own changes."""
        with self._bucket.listing_once():
            yield

    @contextmanager
    def _temporary(self, key: str) -> Iterator[Path]:
        self._puts.mkdir(parents=True, exist_ok=True)
        temporary = self._puts / f".{self._flat(key)}.{secrets.token_hex(4)}.tmp"
        try:
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    @property
    def _puts(self) -> Path:
        return self._scratch / "puts"

    def _flat(self, key: str) -> str:
        """Return a key as the name of a file."""
        return self._key(key).replace("/", "=")

    def _key(self, key: str) -> str:
        return f"{self._folder}/{key}".strip("/")
