"""Fixtures: an S3 server for all tests of a process, and a bucket behind a fault proxy for each test."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("obstore", reason="needs the extra `scale`")
pytest.importorskip("moto", reason="needs moto, which stands in for S3")

from pipeline.emulator import KEY, SECRET, Emulator
from pipeline.flow import Flow
from pipeline.storage import bucket, connect, objects
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server
from tests.support.postgres import PASSWORD, Database

Start = Callable[..., subprocess.Popen[str]]


class S3(NamedTuple):
    """A bucket, and the proxy through which stores reach it. `url` is a prefix in the bucket."""

    proxy: FaultProxy
    bucket: Bucket
    url: str


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
            **{name: value for name, value in os.environ.items() if name.startswith(("AWS_", "AZURE_", "PATH"))},
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
