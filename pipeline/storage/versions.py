"""Old versions of objects in a bucket of S3 that keeps them: they are listed and deleted with `boto3`.

`obstore` knows the current version of an object only. In a bucket with versions a deleted object stays, below a delete
marker, and so does what a put replaced. Credentials, region and endpoint are those of `objects`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipeline.errors import FixSettings, FixStorage
from pipeline.storage.faults import NO_CREDENTIALS, UNREACHABLE, sentence_for, worded

__all__ = ["OldVersions", "S3Versions"]

PAGE = 1000
"""Versions per request, to list and to delete: the most that S3 allows."""

ATTEMPTS = 8
"""How often `boto3` sends a request in all, with pauses of up to 20 seconds."""

LISTING = "s3:ListBucketVersions on the bucket"
DELETING = "s3:DeleteObjectVersion on the objects"

NO_RIGHT = "keeps versions of its objects, and the credentials may not {verb} them; they need the right {right}"
LOCKED = (
    "keeps versions that an object lock protects, such as {key}; they can be deleted when its time is over or its "
    "legal hold is lifted"
)
NEEDS_MFA = (
    "deletes versions only with the code of a second device (MFA delete); let the owner of the bucket delete old "
    "versions, or turn MFA delete off"
)
LEFT = "still has an old version of {key} after it was deleted; let a lifecycle rule of the bucket delete old versions"


class OldVersions(Enum):
    """What becomes of objects that are replaced or deleted."""

    NONE = "gone"
    DELETABLE = "kept until `delete_old_versions` deletes them"
    KEPT = "kept, and out of our reach"
    UNKNOWN = "gone for us; whether the store keeps them for some days cannot be seen"


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    key: str
    id: str
    is_current: bool
    is_marker: bool


class _CannotList(Exception):
    """The store does not know the request: it only looks as if it kept versions."""


class S3Versions:
    """The versions of objects in a bucket. `url` is the data root, for messages, such as `s3://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, self._root = urlsplit(url).netloc, urlsplit(url).path.strip("/")
        self._client = _connect(url)

    def are_suspended(self) -> bool:
        """Return whether the bucket once kept versions. False also if the credentials may not know: it is optional."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return "Status" in self._client.get_bucket_versioning(Bucket=self._bucket)
        except (BotoCoreError, ClientError):
            return False

    def probe(self, key: str) -> bool:
        """Delete all versions of a key, also the current one, and return True: the credentials have the rights.

        Returns False if the store cannot list versions. Raises `FixStorage` if a right is missing.
        """
        try:
            found = [version for version in self._list(key) if version.key == self._full(key)]
        except _CannotList:
            return False
        self._delete(found)
        return True

    def delete_old(self, folder: str) -> bool:
        """Delete all versions of objects below a folder, except current ones, and all delete markers.

        Returns False if the store cannot list versions. Raises `FixStorage` if one of those that there were is left.
        """
        try:
            there = [version for version in self._list(f"{folder}/") if version.is_marker or not version.is_current]
        except _CannotList:
            return False
        # An object comes back if its delete marker goes before its versions do.
        self._delete(version for version in there if not version.is_current)
        self._delete(version for version in there if version.is_current)
        if there:  # versions that appear meanwhile are of workers, who know who is erased
            gone = {(version.key, version.id) for version in there}
            for version in self._list(f"{folder}/"):
                if (version.key, version.id) in gone:
                    raise self._refusal(LEFT.format(key=version.key))
        return True

    def _list(self, prefix: str) -> Iterator[Version]:
        """Yield all versions and delete markers of keys that start with a prefix."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._full(prefix), PaginationConfig={"PageSize": PAGE}
        )
        with self._translated("list", LISTING):
            for page in pages:
                for kind in ("Versions", "DeleteMarkers"):
                    for item in page.get(kind, ()):
                        yield Version(item["Key"], item["VersionId"], item["IsLatest"], kind == "DeleteMarkers")

    def _delete(self, versions: Iterable[Version]) -> None:
        """Delete versions; if some are refused, delete the others all the same, and raise `FixStorage`."""
        remaining = iter(versions)
        refused: list[dict[str, Any]] = []
        while some := list(itertools.islice(remaining, PAGE)):
            objects = [{"Key": version.key, "VersionId": version.id} for version in some]
            with self._translated("delete", DELETING):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            refused += [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchVersion"]
        if refused:
            first = refused[0]
            raise self._refused(first.get("Code", ""), first.get("Message", ""), "delete", DELETING, first["Key"])

    @contextlib.contextmanager
    def _translated(self, verb: str, right: str) -> Iterator[None]:
        """Translate the errors of `boto3` to `FixStorage`, and an unknown request to `_CannotList`."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as error:
            told = error.response.get("Error", {})
            if told.get("Code") in ("NotImplemented", "MethodNotAllowed") and verb == "list":
                raise _CannotList from None
            raise self._refused(told.get("Code", ""), told.get("Message", ""), verb, right, "") from None
        except NoCredentialsError:
            raise FixStorage(worded(self._url, NO_CREDENTIALS)) from None
        except BotoCoreError:  # its message may hold an address or a profile
            raise FixStorage(worded(self._url, UNREACHABLE)) from None

    def _refused(self, code: str, message: str, verb: str, right: str, key: str) -> FixStorage:
        """Return the sentence for an error: its message decides what kind of refusal `AccessDenied` is."""
        if "object lock" in message.lower() or "worm" in message.lower():
            return self._refusal(LOCKED.format(key=key))
        if "mfa" in message.lower():
            return self._refusal(NEEDS_MFA)
        if code in ("AccessDenied", "AllAccessDisabled", "UnauthorizedAccess"):
            return self._refusal(NO_RIGHT.format(verb=verb, right=right))
        if (sentence := sentence_for(self._url, code)) is not None:
            return FixStorage(sentence)
        return self._refusal(f"did not {verb} old versions ({code or 'no reason given'}); run again later")

    def _refusal(self, sentence: str) -> FixStorage:
        return FixStorage(f"{self._url} {sentence}")

    def _full(self, key: str) -> str:
        """Return the key in the bucket of a key below the data root."""
        return f"{self._root}/{key}".lstrip("/")


def _connect(url: str) -> Any:
    """Return a client with the variables that `obstore` reads. Raises `FixSettings`."""
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise FixSettings(
            f"{url} keeps versions of its objects, and deleting them needs a library; run "
            "`pip install 'call-metrics[scale]'`"
        ) from None
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    given = {
        "aws_access_key_id": os.environ.get("AWS_ACCESS_KEY_ID"),
        "aws_secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "aws_session_token": os.environ.get("AWS_SESSION_TOKEN"),
    }
    # Like `obstore` it reads no AWS_PROFILE, which may be there for other tools, and no endpoint in a file.
    without_profile = botocore.session.Session({"profile": (None, None, None, None)})
    try:
        return boto3.session.Session(botocore_session=without_profile).client(
            "s3",
            region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            endpoint_url=endpoint,
            config=Config(
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                s3={"addressing_style": "path" if endpoint else "auto"},
                ignore_configured_endpoint_urls=True,
            ),
            **{name: value for name, value in given.items() if value},
        )
    except (BotoCoreError, ValueError):  # its message may hold an address or a profile
        raise FixSettings(
            f"CALL_METRICS_DATA is {url}, which cannot be used with the variables of its store (such as "
            "AWS_ENDPOINT_URL); correct them"
        ) from None
