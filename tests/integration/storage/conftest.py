"""Fixtures: an S3 server for all tests of a process, and a bucket behind a fault proxy for each test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("obstore", reason="needs the extra `scale`")
pytest.importorskip("moto", reason="needs moto, which stands in for S3")

from pipeline.storage import objects
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server


class S3(NamedTuple):
    """A bucket, and the proxy through which stores reach it. `url` is a prefix in the bucket."""

    proxy: FaultProxy
    bucket: Bucket
    url: str


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Yield the address of an S3 server."""
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Yield an empty bucket behind a proxy, which the environment points to."""
    proxy = FaultProxy(server)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bucket = Bucket(server, f"bucket-{secrets.token_hex(6)}")
    yield S3(proxy, bucket, f"s3://{bucket.name}/data")
    proxy.close()


@pytest.fixture
def store(s3: S3, tmp_path: Path) -> objects.ObjectStore:
    """Return a store on the bucket."""
    return objects.ObjectStore(s3.url, tmp_path / "scratch")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stores give up at once instead of after a minute."""
    monkeypatch.setattr(objects, "RETRIES", 1)
    monkeypatch.setattr(objects, "LATER_SECONDS", (0.0,))


@pytest.fixture
def store_for(s3: S3, tmp_path: Path) -> Callable[[], objects.ObjectStore]:
    """Return a function that makes stores as another machine would, each with a scratch folder of its own."""
    return lambda: objects.ObjectStore(s3.url, tmp_path / f"scratch-{secrets.token_hex(4)}")
