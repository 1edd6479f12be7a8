"""How the dashboard is started: the command line of Streamlit, with its options.

What is served is in `served`, and what the dashboard shows in `app`. The process that becomes Streamlit, and the check
of its port, are in `cli.commands`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from pipeline.errors import FixSettings

__all__ = ["streamlit_command"]

OPTIONS = (
    "--server.address=127.0.0.1",
    "--server.headless=true",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
    "--client.toolbarMode=minimal",
    "--runner.magicEnabled=false",  # otherwise it draws every string that is a statement
)


def streamlit_command(port: int) -> list[str]:
    """Return the command that serves the dashboard on a TCP port of 127.0.0.1.

    Raises `FixSettings` if Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise FixSettings("the dashboard needs Streamlit; install it with `pip install 'call-metrics[dashboard]'`")
    app = str(Path(__file__).with_name("served.py"))
    return [sys.executable, "-m", "streamlit", "run", app, f"--server.port={port}", *OPTIONS]
