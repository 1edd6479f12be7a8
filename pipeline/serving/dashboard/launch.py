"""Starts the dashboard: this process becomes Streamlit, on 127.0.0.1, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

__all__ = ["main"]

PORT = "8501"

OPTIONS = (
    "--server.address=127.0.0.1",
    "--server.headless=true",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
    "--client.toolbarMode=minimal",
    "--runner.magicEnabled=false",  # otherwise it draws every string that is a statement
)


def main(arguments: list[str]) -> int:
    """Replace this process by Streamlit. The only argument is a port. Return 2 with a message if that is impossible."""
    port = arguments[0] if arguments else PORT
    if len(arguments) > 1 or not port.isdecimal() or not 0 < int(port) < 65536:
        sys.stderr.write(f"dashboard: the only argument is a TCP port, from 1 to 65535 (default: {PORT})\n")
    elif importlib.util.find_spec("streamlit") is None:
        sys.stderr.write("dashboard: needs Streamlit; install it with `pip install 'call-metrics[dashboard]'`\n")
    else:
        app = str(Path(__file__).with_name("app.py"))
        command = [sys.executable, "-m", "streamlit", "run", app, f"--server.port={port}", *OPTIONS]
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell
    return 2
