"""How the dashboard is started."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("arguments", [("65536",), ("http",), ("1", "2")])
def test_invalid_port_is_refused(arguments: tuple[str, ...]) -> None:
    """One sentence, exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.serving.dashboard", *arguments], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dashboard: the only argument is a TCP port, from 1 to 65535 (default: 8501)\n"
