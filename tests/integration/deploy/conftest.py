"""Machines that share a bucket and a lake: processes of the command line, each with a scratch folder of its own."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.emulator import KEY, SECRET
from tests.support.object_store import CREDENTIALS, Bucket, s3_server
from tests.support.postgres import PASSWORD, Database

Command = Callable[..., subprocess.Popen[str]]
"""Starts `call-metrics` on a machine: its number, the arguments, and further variables."""


class Cluster(NamedTuple):
    """A bucket, a database and the emulator's access, as the environment of every machine."""

    environment: dict[str, str]
    bucket: Bucket
    database: Database
    start: Command


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """Yield the address of an S3 server."""
    pytest.importorskip("moto", reason="needs moto, which stands in for S3")
    with s3_server() as address:
        yield address


@pytest.fixture
def cluster(s3_address: str, database: Database, tmp_path: Path) -> Iterator[Callable[[str], Cluster]]:
    """Return a function that makes a cluster for the address of an emulator. All processes end with the test."""
    started: list[subprocess.Popen[str]] = []

    def make(url: str) -> Cluster:
        bucket = Bucket(s3_address, f"bucket-{secrets.token_hex(6)}")
        environment = {
            "PATH": str(Path(sys.executable).parent),
            "HOME": str(tmp_path),
            "PGPASSWORD": PASSWORD,
            **CREDENTIALS,
            "STREAM_API_KEY": KEY,
            "STREAM_API_SECRET": SECRET,
            "STREAM_BASE_URL": url,
            "AWS_ENDPOINT_URL": f"http://{s3_address}",
            "CALL_METRICS_DATA": f"s3://{bucket.name}/app",
            "CALL_METRICS_WAREHOUSE": database.setting(),
        }

        def start(machine: int, *arguments: str, **variables: str) -> subprocess.Popen[str]:
            scratch = tmp_path / f"machine-{machine}"
            scratch.mkdir(exist_ok=True)
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=scratch,
                env=environment | {"CALL_METRICS_SCRATCH": str(scratch)} | variables,
            )
            started.append(process)
            return process

        return Cluster(environment, bucket, database, start)

    yield make
    for process in started:
        process.kill()
        process.communicate()
