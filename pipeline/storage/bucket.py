"""The requests to a bucket, by `obstore`: tried again if the store is away, and their errors in sentences.

Keys are relative to the data root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

from pipeline.errors import FixStorage
from pipeline.storage.connect import connect
from pipeline.storage.faults import translated
from pipeline.storage.google import GoogleAccount
from pipeline.storage.google_versions import GoogleVersions
from pipeline.storage.ranged import TAIL_BYTES, RangedFile
from pipeline.storage.versions import OldVersions, S3Versions

__all__ = ["Bucket", "Meta"]

T = TypeVar("T")

LATER_SECONDS = (2.0, 5.0, 10.0)
"""Pauses before the whole is tried again, once the store has responded at all. With the retries of the client, a store
may be away for a minute. The first request of a process is not tried again: a wrong address should be told soon."""


class Meta(NamedTuple):
    """What a listing says about an object."""

    size: int
    etag: str | None

    @classmethod
    def of(cls, size: int, etag: str | None) -> Meta:
        """Return it with the entity tag in quotes, as requests need it: Azure's listings leave them out."""
        return cls(size, etag if etag is None or etag.endswith('"') else f'"{etag}"')


class Bucket:
    """The client of all stores on one root, and what is known about objects within `listing_once`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = connect(url)
        self._is_azure = url.startswith("az://")
        self._google = GoogleAccount.from_variables() if url.startswith("gs://") else None
        self._depth = 0
        self._known: dict[str, tuple[dict[str, Meta], list[str]]] = {}
        self._lock = threading.Lock()
        self._has_responded = False
        self._is_probed = False

    def listing(self, folder: str) -> tuple[dict[str, Meta], list[str]]:
        """Return the objects in a folder by name, and the names of the folders in it."""
        import obstore

        with self._lock:
            if self._depth and folder in self._known:
                objects, folders = self._known[folder]
                return dict(objects), list(folders)
        found = self._ask(lambda: obstore.list_with_delimiter(self._client, folder or None))
        entries = found["objects"]
        objects = {PurePosixPath(entry["path"]).name: Meta.of(entry["size"], entry["e_tag"]) for entry in entries}
        folders = [PurePosixPath(prefix).name for prefix in found["common_prefixes"]]
        with self._lock:
            if self._depth:
                self._known[folder] = dict(objects), list(folders)
        return objects, folders

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys of all objects below a folder."""
        return iter(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of all objects below a folder, by key: a listing has them."""
        import obstore

        pages = self._ask(lambda: list(obstore.list(self._client, folder or None, chunk_size=1000)))
        return {entry["path"]: entry["size"] for page in pages for entry in page}

    def head(self, key: str) -> Meta | None:
        """Return what is known of an object; None if there is none."""
        import obstore

        if (meta := self._noted(key)) is not None:
            return meta
        try:
            found = self._ask(lambda: obstore.head(self._client, key))
        except FileNotFoundError:
            return None
        return Meta.of(found["size"], found["e_tag"])

    def open(self, key: str) -> BinaryIO:
        """Open an object; one that is replaced or deleted afterwards raises `FileNotFoundError` when it is read."""
        meta, tail = self._noted(key), None
        if meta is None:
            meta, tail = self._tail(key)
        if meta.size == 0:
            return BytesIO()
        size, etag = meta

        def fetch(start: int, end: int) -> bytes:
            return self._range(key, {"range": (start, end), **({"if_match": etag} if etag else {})})[1]

        return cast(BinaryIO, RangedFile(size, fetch, tail))

    def put(self, key: str, path: Path) -> None:
        """Put a file, in the place of an object that may be there."""
        import obstore

        result = self._ask(lambda: obstore.put(self._client, key, path))
        self._note(key, Meta.of(path.stat().st_size, result["e_tag"]))

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put an object unless there is one. Returns whether it is there with our content.

        A put may arrive while its acknowledgement does not. Then the next attempt finds the object there: it is ours.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            etag = self._ask(lambda: obstore.put(self._client, key, content, mode="create"))["e_tag"]
        except AlreadyExistsError:
            meta, held = self._whole(key)
            if held != content:
                return False
            etag = meta.etag
        self._note(key, Meta.of(len(content), etag))
        return True

    def delete(self, keys: list[str]) -> None:
        """Delete objects, if they are there."""
        import obstore

        try:
            if keys:
                self._ask(lambda: obstore.delete(self._client, keys))
        except FileNotFoundError:  # in Azure, if one is not there: others may be undone, or their errors hidden
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    self._ask(partial(obstore.delete, self._client, key))
        for key in keys:
            self._note(key, None)

    def move(self, source: str, target: str) -> None:
        """Copy an object to another key, then delete it."""
        import obstore

        self._ask(lambda: obstore.copy(self._client, source, target, overwrite=True))
        self._note(target, None)
        self.delete([source])

    def probe(self, folder: str) -> None:
        """Raise `FixStorage` unless the same key can be put once, and not twice. Once per process."""
        if self._is_probed:
            return
        key = f"{folder}/.probe-{secrets.token_hex(8)}".strip("/")
        mine = self.put_if_absent(key, b"1")
        others = self.put_if_absent(key, b"2")
        self.delete([key])
        if not mine or others:
            raise FixStorage(
                f"{self.url} lets one object replace another where none may be (it ignores conditions), so that two "
                "workers could overwrite each other; use a store with conditional puts"
            )
        self._is_probed = True

    def old_versions(self, folder: str) -> OldVersions:
        """Return what becomes of deleted objects: a put object has a version if the bucket keeps it."""
        import obstore

        key = f"{folder}/.probe-{secrets.token_hex(8)}".strip("/")
        result = self._ask(lambda: obstore.put(self._client, key, b"1"))
        self.delete([key])
        if self._google is not None:  # its objects have a version anyway; the old ones can be deleted
            GoogleVersions(self.url, self._google).probe(key)
            return OldVersions.UNKNOWN
        versions = S3Versions(self.url) if self.url.startswith("s3://") else None
        if result["version"] is None and versions is None:
            return OldVersions.UNKNOWN
        if result["version"] is None and versions is not None and not versions.are_suspended():
            return OldVersions.NONE
        return OldVersions.DELETABLE if versions is not None and versions.probe(key) else OldVersions.KEPT

    def delete_old_versions(self, folder: str) -> None:
        """Delete the old versions of objects below a folder, in a store that lets us."""
        if self._google is not None:
            GoogleVersions(self.url, self._google).delete_old(folder)
        else:
            S3Versions(self.url).delete_old(folder)

    @contextmanager
    def listing_once(self) -> Iterator[None]:
        """Within the block, keep listings."""
        with self._lock:
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth:
                    self._known.clear()

    def _noted(self, key: str) -> Meta | None:
        folder, _, name = key.rpartition("/")
        with self._lock:
            return self._known[folder][0].get(name) if folder in self._known else None

    def _note(self, key: str, meta: Meta | None) -> None:
        """Note what we did to an object: put it, or deleted it (None)."""
        folder, _, name = key.rpartition("/")
        with self._lock:
            if folder not in self._known:
                return
            if meta is None:
                self._known[folder][0].pop(name, None)
            else:
                self._known[folder][0][name] = meta

    def _forget(self, key: str) -> None:
        with self._lock:
            self._known.pop(key.rpartition("/")[0], None)

    def _tail(self, key: str) -> tuple[Meta, bytes]:
        """Return the size of an object and its last bytes."""
        if self._is_azure:  # it gives no range that is counted from the end
            if (meta := self.head(key)) is None:
                return self._whole(key)  # raises what is missing, the object or the container: HEAD does not say
            if not meta.size:
                return meta, b""
            tail = (max(0, meta.size - TAIL_BYTES), meta.size)
            return meta, self._range(key, {"range": tail, "if_match": meta.etag})[1]
        try:
            return self._range(key, {"range": {"suffix": TAIL_BYTES}})
        except FixStorage:
            meta = self.head(key)  # a store may refuse a range of an empty object
            if meta is None or meta.size:
                raise
            return meta, b""

    def _whole(self, key: str) -> tuple[Meta, bytes]:
        return self._range(key, {})

    def _range(self, key: str, options: dict[str, Any]) -> tuple[Meta, bytes]:
        import obstore
        from obstore.exceptions import PreconditionError

        def fetch() -> tuple[Meta, bytes]:
            result = obstore.get(self._client, key, options=options)  # type: ignore[arg-type]
            return Meta.of(result.meta["size"], result.meta["e_tag"]), bytes(result.bytes())

        try:
            return self._ask(fetch)
        except FileNotFoundError:
            self._forget(key)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.url}/{key}") from None
        except PreconditionError:
            self._forget(key)
            raise FileNotFoundError(errno.ENOENT, "it was replaced meanwhile", f"{self.url}/{key}") from None

    def _ask(self, request: Callable[[], T]) -> T:
        """Return what a request returns. Try again later if the store is away, see `LATER_SECONDS`."""
        from obstore.exceptions import GenericError

        if self._google is not None:
            self._google.token(self.url)  # `obstore` asks for it too, but would turn our errors into others
        with translated(self.url):
            for seconds in LATER_SECONDS if self._has_responded else ():
                try:
                    return request()
                except GenericError as error:
                    if not _passes(error):
                        raise
                time.sleep(seconds)
            answer = request()
            self._has_responded = True
            return answer


def _passes(error: BaseException) -> bool:
    """Return whether a fault usually passes: the store is busy or away."""
    text = str(error)
    refused = "status code" in text or "NotPartial" in text  # the latter: a range of an empty object
    return not refused or "status code: 5" in text or "status code: 429" in text
