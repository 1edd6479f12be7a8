"""Commands as a user runs them: a process, its exit code, what it prints and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.emulator import KEY, SECRET, Emulator


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without settings except for the data folder."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALL_METRICS_DATA": str(tmp_path / "data")}


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts `call-metrics`, for an emulator if one is given. Kill all processes at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | bytes, on: Emulator | None = None, **variables: str) -> subprocess.Popen[str]:
        access = {"STREAM_API_KEY": KEY, "STREAM_API_SECRET": SECRET, "STREAM_BASE_URL": on.url} if on else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment | access | variables,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
