"""The command line of the emulator alone, `python -m pipeline.emulator`: its options.

What they start is in `serve`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date

from .http.quotas import Quota
from .http.routes import require_endpoint
from .serve import WORLD_NAMES, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives, and return the exit code."""
    parser = argparse.ArgumentParser("python -m pipeline.emulator", description="A stand-in for Stream's Video API.")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--world", choices=WORLD_NAMES, default="demo", help="data to serve (default: demo)")
    parser.add_argument("--days", type=int, default=3, help="number of days before today (default: 3)")
    parser.add_argument(
        "--today", type=date.fromisoformat, help="the day that counts as today, as YYYY-MM-DD (default: today, UTC)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other values")
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        type=_quota,
        metavar="ENDPOINT=LIMIT[/SECONDS]",
        help="requests that an endpoint accepts per window of SECONDS (default: 60); may be repeated",
    )
    given = parser.parse_args(arguments)
    try:
        return run(
            given.port,
            given.world,
            given.days,
            given.seed,
            quotas=dict(given.quota),
            today=given.today,
        )
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {given.port}: {os.strerror(error.errno or 0)}\n")
        return 2


def _quota(text: str) -> tuple[str, Quota]:
    """Return the endpoint and the quota of one `--quota`."""
    name, _, figures = text.partition("=")
    limit, _, seconds = figures.partition("/")
    try:
        require_endpoint(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    try:
        return name, Quota(int(limit), float(seconds or 60))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not ENDPOINT=LIMIT[/SECONDS]") from None


if __name__ == "__main__":
    sys.exit(main())
