"""What tests of Dagster share: a small day of calls, and Dagster's server as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.emulator import CallSpec, Points, StaySpec, TrackSpec, uniform_world

DAY = date(2026, 3, 1)
WORLD = uniform_world(DAY, calls=2, people=2, minutes=40, step_seconds=60)
AFTERWARDS = datetime(2026, 3, 3, 12, tzinfo=UTC)


def a_call(start: datetime, *, minutes: int) -> CallSpec:
    """Return a call of one person who talks to its end."""
    end = start + timedelta(minutes=minutes)
    talk = Points.every(60, start, bitrate=tuple(range(minutes)))
    mic = TrackSpec("mic", "audio", "opus", talk)
    stay = StaySpec(user_id="ann", user_session_id=f"{start:%j}", joined_at=start, left_at=end, tracks=(mic,))
    return CallSpec("default", f"{start:%j}", "s", started_at=start, ended_at=end, participants=(stay,))


@dataclass
class DagsterServer:
    """A running server. Once it has ended, `output` is what it printed, and `ended_by` the signal that it obeyed."""

    url: str
    output: str = ""
    ended_by: signal.Signals | None = None

    def query(self, query: str) -> Any:
        """Return the data of a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["data"]


@contextlib.contextmanager
def dagster_server(
    command: Sequence[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float = 240,
    *,
    ignore_sigint: bool = False,
) -> Iterator[DagsterServer]:
    """Run a command that serves Dagster, within the block. It must respond within `seconds`.

    With `ignore_sigint`, it starts like a background job of a shell script.
    """
    server = DagsterServer(f"http://127.0.0.1:{port}")
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignore_sigint else signal.SIG_DFL),
        )
        try:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    server.query("{ version }")
                    break
                except OSError:
                    assert process.poll() is None, "Dagster ended"
                    assert time.monotonic() < deadline, "Dagster did not come up"
                    time.sleep(0.5)
            yield server
        finally:
            server.ended_by = _end(process)
            output.seek(0)
            server.output = output.read()


def _end(process: subprocess.Popen[bytes]) -> signal.Signals | None:
    """End a process and its children. Returns the signal that ended it."""
    for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return number
    return None
