"""What tests of the command line share: a day in the recent past, worlds of that day, and the end of a process."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.emulator import KEY, SECRET, uniform_world
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
DAYS = ("--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}")
SMALL = uniform_world(YESTERDAY, calls=2, people=2, minutes=40, step_seconds=60)
LARGE = uniform_world(YESTERDAY, calls=12, people=5, minutes=55, step_seconds=60)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the process. Return its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def flow_on(tmp_path: Path) -> Flow:
    """Return a flow on the data folder of the commands that ran in `tmp_path`."""
    return Flow(Settings(api_key=KEY, api_secret=Secret(SECRET), data=tmp_path / "data"))
