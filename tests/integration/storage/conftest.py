"""Fixtures: an S3 server for all tests of a process, and a bucket behind a fault proxy for each test."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("obstore", reason="needs the extra `scale`")
pytest.importorskip("moto", reason="needs moto, which stands in for S3")

from pipeline.catalog import LakeCatalog
from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.flow import Flow
from pipeline.storage import bucket, connect, objects
from tests.support import azurite
from tests.support.google import GoogleServer
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server
from tests.support.postgres import PASSWORD, Database

Start = Callable[..., subprocess.Popen[str]]

OF_STORES = ("AWS_", "AZURE_", "GOOGLE_")
"""What the variables of stores begin with."""


class S3(NamedTuple):
    """A bucket, and the proxy through which stores reach it. `url` is a prefix in the bucket."""

    proxy: FaultProxy
    bucket: Bucket
    url: str


@dataclass
class Cloud:
    """A container or bucket of another cloud than S3's.

    Attributes:
        scheme: what its addresses begin with.
        container: what is in it, seen past all proxies.
        secret_type: what DuckDB calls it.
        may_keep: the rest of a sentence about what it keeps of deleted objects.
        secrets: returns what must never print.
        google: the server that stands in for Google.
        proxy: what is in front of that server.
    """

    scheme: str
    container: Bucket | azurite.Container
    secret_type: str
    may_keep: str
    secrets: Callable[[], Iterable[str]]
    google: GoogleServer | None = None
    proxy: FaultProxy | None = None

    @property
    def url(self) -> str:
        """A prefix in it."""
        return f"{self.scheme}://{self.container.name}/data"

    def lake(self, database: Database, role: str = "writer") -> LakeCatalog:
        """Return the lake that is in it."""
        return LakeCatalog.parse(database.setting(role), self.url)

    def shows_a_secret(self, text: str) -> bool:
        """Return whether a text has something that must never print."""
        return any(secret in text for secret in self.secrets())

    def everything(self) -> list[bytes]:
        """Return the content of all objects, and of all their versions where they can be kept."""
        if isinstance(self.container, Bucket):
            return [content for *_, content in self.container.versions() if content is not None]
        return list(self.container.contents().values())

    def keep_versions(self) -> None:
        """Keep versions from now on, where that is possible."""
        if isinstance(self.container, Bucket):
            self.container.keep_versions()

    def give_for(self, seconds: int) -> None:
        """Give credentials for so many seconds from now on, where they last for a while only."""
        if self.google is not None:
            self.google.lifetime = seconds

    def age(self) -> None:
        """Let what was given so far be too old."""
        if self.google is not None:
            self.google.expire()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of a process that ends."""
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


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


@pytest.fixture(scope="session")
def azure_endpoint() -> Iterator[str]:
    """Yield the address of an account of a server that stands in for Azure."""
    if azurite.PROGRAM is None:
        pytest.skip("needs azurite-blob on PATH, which stands in for Azure")
    with azurite.azure_server() as endpoint:
        yield endpoint


@pytest.fixture
def azure(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return an empty container in Azure, which the environment points to."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azurite.ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_endpoint)
    container = azurite.Container(azure_endpoint, f"container-{secrets.token_hex(6)}")
    return Cloud("az", container, "azure", "may keep what `forget` deletes for some days", lambda: [azurite.KEY])


@pytest.fixture
def google(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Yield an empty bucket of Google behind a proxy, which the environment points to, with a key of an account."""
    google = GoogleServer(server)
    proxy = FaultProxy(google.address)
    key = google.write_key(tmp_path / "key.json")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    monkeypatch.setenv("GOOGLE_BASE_URL", proxy.url)
    bucket = Bucket(server, f"bucket-{secrets.token_hex(6)}")
    kept = "keeps what `forget` deletes"
    yield Cloud("gs", bucket, "gcs", kept, lambda: ["PRIVATE KEY", "hunter2", *google.granted], google, proxy)
    proxy.close()
    google.close()


@pytest.fixture
def store(s3: S3, tmp_path: Path) -> objects.ObjectStore:
    """Return a store on the bucket."""
    return objects.ObjectStore(s3.url, tmp_path / "scratch")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stores give up at once instead of after a minute."""
    monkeypatch.setattr(connect, "RETRIES", 1)
    monkeypatch.setattr(bucket, "LATER_SECONDS", (0.0,))


@pytest.fixture
def store_for(s3: S3, tmp_path: Path) -> Callable[[], objects.ObjectStore]:
    """Return a function that makes stores as another machine would, each with a scratch folder of its own."""
    return lambda: objects.ObjectStore(s3.url, tmp_path / f"scratch-{secrets.token_hex(4)}")


@pytest.fixture
def data_url(s3: S3) -> str:
    """Return the data root of the machines that `start` starts."""
    return s3.url


@pytest.fixture
def start(data_url: str, database: Database, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `call-metrics` on a new machine: with an empty scratch folder and home."""
    started = []

    def run(*arguments: str, on: Emulator | None = None, role: str = "writer") -> subprocess.Popen[str]:
        machine = tmp_path / f"machine-{secrets.token_hex(4)}"
        machine.mkdir()
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "PATH"))
            },
            "HOME": str(machine),
            "PGPASSWORD": PASSWORD,
            "CALL_METRICS_DATA": data_url,
            "CALL_METRICS_WAREHOUSE": database.setting(role),
            "CALL_METRICS_SCRATCH": str(machine / "scratch"),
            **({"STREAM_API_KEY": KEY, "STREAM_API_SECRET": SECRET, "STREAM_BASE_URL": on.url} if on else {}),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=machine,
                env=environment,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def machine(s3: S3, database: Database, flow_for: Callable[..., Flow], tmp_path: Path) -> Callable[..., Flow]:
    """Return a function that makes flows on new machines."""
    return lambda source, **given: flow_for(
        source,
        data=s3.url,
        scratch=tmp_path / f"machine-{secrets.token_hex(4)}",
        warehouse_file=database.setting(),
        **given,
    )
