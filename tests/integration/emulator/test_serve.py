"""The emulator as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.emulator import Emulator, World

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_announces_its_address_and_ends_cleanly(number: int) -> None:
    """It writes one line of JSON when ready, and exits with 0 on SIGTERM and Ctrl-C."""
    command = [sys.executable, "-m", "pipeline.emulator", "--world", "uniform", "--days", "1", "--today", "2026-03-03"]
    command += ["--quota", "participant_metrics=1/1000000000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert set(ready) == {"url", "key", "secret"}
            response = httpx.get(f"{ready['url']}/api/v2/rate_limits", params={"api_key": ready["key"]})
            assert response.json()["code"] == 5
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
        finally:
            process.kill()


def test_process_reports_a_taken_port_in_one_sentence() -> None:
    """It exits with 2 and without a traceback."""
    with Emulator(World(())) as emulator:
        command = [sys.executable, "-m", "pipeline.emulator", "--world", "uniform", "--days", "1"]
        done = subprocess.run(
            [*command, "--port", str(emulator.port)], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
        )
    assert done.returncode == 2
    assert done.stderr == f"cannot listen on port {emulator.port}: Address already in use\n"
