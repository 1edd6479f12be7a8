"""How the dashboard is started with `python -m pipeline.dashboard`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("arguments", [("65536",), ("http",), ("1", "2")])
def test_invalid_port_is_refused(arguments: tuple[str, ...]) -> None:
    """One sentence, exit code 2."""
    done = subprocess.run([sys.executable, "-m", "pipeline.dashboard", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dashboard: the only argument is a TCP port, from 1 to 65535 (default: 8501)\n"


@pytest.mark.parametrize("arguments", [[], ["8501"]])
def test_missing_streamlit_is_named(arguments: list[str], tmp_path: Path) -> None:
    """One sentence has the command that installs it, as with `call-metrics dashboard`."""
    hidden = (
        "import sys; sys.modules['streamlit'] = None; from pipeline.dashboard import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", hidden, *arguments], capture_output=True, text=True, cwd=tmp_path)
    sentence = "the dashboard needs Streamlit; install it with `pip install 'call-metrics[dashboard]'`"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"call-metrics: {sentence}\n")
