"""Old versions of objects in a bucket of Google with Object Versioning: they are listed and deleted by its JSON API.

`obstore` knows the current version of an object only. What Google keeps by soft delete is something else: nobody can
delete it before its time is over.

https://docs.cloud.google.com/storage/docs/object-versioning
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pipeline.errors import FixStorage
from pipeline.storage.faults import BUSY, DENIED, IMMUTABLE, NO_BUCKET, REFUSED, UNREACHABLE, worded
from pipeline.storage.google import GoogleAccount

__all__ = ["GoogleVersions"]

PAGE = 1000
"""Versions per request to list: the most that Google allows."""

AT_ONCE = 16
"""Requests to delete that are under way at once: each is about one version."""

PAUSES = (1.0, 2.0, 5.0, 10.0, 0.0)
"""Seconds after a request that failed for a passing reason; after the last one it is given up."""

TIMEOUT = 60
"""Seconds that one request may take."""

PROTECTED = ("retentionPolicyNotMet", "objectUnderActiveHold")
"""Google's words for a version that may not be deleted yet."""

LEFT = "still has an old version of {key} after it was deleted; let a lifecycle rule of the bucket delete old versions"


class Version(NamedTuple):
    """A version of an object that is not the current one. `generation` is its number."""

    key: str
    generation: str


class GoogleVersions:
    """The versions of objects in a bucket. `url` is the data root, for messages, such as `gs://bucket/prefix`."""

    def __init__(self, url: str, account: GoogleAccount) -> None:
        self._url = url
        self._account = account
        self._bucket, self._root = urlsplit(url).netloc, urlsplit(url).path.strip("/")

    def probe(self, key: str) -> None:
        """Delete all old versions of a key. Raises `FixStorage` if a right is missing."""
        self._delete(version for version in self._old(key) if version.key == self._full(key))

    def delete_old(self, folder: str) -> None:
        """Delete all versions of objects below a folder, except current ones. Raises `FixStorage` if one is left."""
        there = list(self._old(f"{folder}/"))
        self._delete(there)
        if there:  # versions that appear meanwhile are of workers, who know who is erased
            for version in self._old(f"{folder}/"):
                if version in there:
                    raise FixStorage(f"{self._url} {LEFT.format(key=version.key)}")

    def _old(self, prefix: str) -> Iterator[Version]:
        """Yield the versions that are not current, of keys that start with a prefix."""
        query = {
            "versions": "true",
            "prefix": self._full(prefix),
            "fields": "items(name,generation,timeDeleted),nextPageToken",
            "maxResults": f"{PAGE}",
        }
        while True:
            page = self._ask("GET", f"/o?{urlencode(query)}")
            for item in page.get("items", ()):
                if "timeDeleted" in item:
                    yield Version(item["name"], item["generation"])
            if not (more := page.get("nextPageToken")):
                return
            query["pageToken"] = more

    def _delete(self, versions: Iterable[Version]) -> None:
        """Delete versions; one that is gone already is none."""
        paths = [f"/o/{quote(version.key, safe='')}?generation={version.generation}" for version in versions]
        with ThreadPoolExecutor(AT_ONCE) as several:
            for _ in several.map(lambda path: self._ask("DELETE", path), paths):
                pass

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        """Return what a request returns; nothing if what it deletes is gone. Raises `FixStorage`."""
        from google.auth.exceptions import TransportError
        from google.auth.transport.requests import Request

        host = self._account.endpoint or "https://storage.googleapis.com"
        address = f"{host}/storage/v1/b/{quote(self._bucket, safe='')}{path}"
        refusal = worded(self._url, UNREACHABLE)
        for seconds in PAUSES:
            headers = {"Authorization": f"Bearer {self._account.token(self._url).value}"}
            try:
                answer = Request()(address, method, headers=headers, timeout=TIMEOUT)
            except TransportError:  # its message may hold an address
                time.sleep(seconds)
                continue
            if method == "DELETE" and (answer.status < 300 or answer.status == 404):
                return {}
            if answer.status < 300:
                with contextlib.suppress(ValueError):  # something on the way answers in Google's place
                    return dict(json.loads(answer.data))
            refusal = self._refusal(answer.status, answer.data)
            if 300 <= answer.status < 500 and answer.status != 429:
                break
            time.sleep(seconds)
        raise FixStorage(refusal)

    def _refusal(self, status: int, body: bytes) -> str:
        """Return the sentence for an answer."""
        sentences = {401: REFUSED, 403: DENIED, 404: NO_BUCKET}
        is_protected = any(word.encode() in body for word in PROTECTED)
        return worded(self._url, IMMUTABLE if is_protected else sentences.get(status, BUSY), f"HTTP {status}")

    def _full(self, key: str) -> str:
        """Return the key in the bucket of a key below the data root."""
        return f"{self._root}/{key}".lstrip("/")
