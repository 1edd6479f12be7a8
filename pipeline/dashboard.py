"""`python -m pipeline.dashboard [PORT]` is `call-metrics dashboard [--port PORT]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline import cli

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 2, with a message, if the dashboard cannot start."""
    if len(arguments) > 1 or not all(port.isdecimal() and 0 < int(port) < 65536 for port in arguments):
        sys.stderr.write("dashboard: the only argument is a TCP port, from 1 to 65535 (default: 8501)\n")
        return 2
    return cli.main(["dashboard", *(f"--port={port}" for port in arguments)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
