"""The dashboard as Streamlit serves it: whether it is healthy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support import free_port
from tests.support.small_world import SmallWorld, steady

pytest.importorskip("streamlit", reason="Streamlit comes with the extra dashboard")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve the dashboard of an empty folder on a free port, and yield it; end it afterwards."""
    chosen = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": f"{tmp_path}", "CALL_METRICS_DATA": f"{tmp_path / 'data'}"}
    environment["CALL_METRICS_LOG_FORMAT"] = "json"
    command = [sys.executable, "-m", "pipeline", "dashboard", "--port", f"{chosen}"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment) as process,
    ):
        try:
            yield chosen
        finally:
            process.kill()


def get(port: int, path: str) -> tuple[int, bytes]:
    """Return the status and the body of a response; status 0 if nobody listens yet."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        try:
            connection.request("GET", path)
        except ConnectionRefusedError:
            return 0, b""
        response = connection.getresponse()
        return response.status, response.read()


def wait_for(port: int, path: str, status: int) -> bytes:
    """Ask until the status is this one, and return the body."""
    deadline = time.monotonic() + 60
    while (found := get(port, path))[0] != status and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found[0] == status
    return found[1]


def test_dashboard_is_healthy_while_its_pages_can_read(port: int, tmp_path: Path) -> None:
    """Streamlit's own answer says that it runs, also without a database; ours says whether there is anything to see.

    The log says why not, as JSON.
    """
    assert b"no published database" in wait_for(port, "/health", 503)
    assert get(port, "/_stcore/health") == (200, b"ok")
    (line,) = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert line["message"].startswith(f"not healthy: {tmp_path}/data/warehouse.duckdb does not exist yet")
    world = SmallWorld()
    world.call()
    world.stay("ann", 0, 900)
    world.track(steady(0, 600))
    (tmp_path / "data").mkdir(exist_ok=True)
    world.load(tmp_path / "data").close()
    (tmp_path / "data" / "published.duckdb").replace(tmp_path / "data" / "warehouse.duckdb")
    assert wait_for(port, "/health", 200) == b'{"status":"ok"}'
    assert b"<html" in get(port, "/")[1]
