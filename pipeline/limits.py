"""Limits that the operating system sets for our process: so far, how many files it may open."""

from __future__ import annotations

import sys

from pipeline.errors import FixSettings

__all__ = ["allow_open_files"]

NEEDED = 256
"""Files, sockets and pipes that our process must be able to open at once. A large day takes about half of them."""

WANTED = 65_536
"""Most files that we let a process open. Some containers permit a billion, and some programs loop over all of them."""


def allow_open_files() -> None:
    """Raise the limit of open files as far as the system permits, to `WANTED` at most.

    DuckDB aborts a process that runs out of them. Windows has no such limit. Raises `FixSettings` if the system permits
    too few.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if allowed < NEEDED:
        raise FixSettings(
            f"this process may open only {allowed} files at once, and needs {NEEDED}; raise the limit, with `ulimit "
            "-n` in a shell or LimitNOFILE in a systemd unit"
        )
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
