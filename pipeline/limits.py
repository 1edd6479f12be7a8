"""What the system lets a process of ours use."""

from __future__ import annotations

import resource

from pipeline.errors import FixSettings

__all__ = ["allow_open_files"]

NEEDED = 256
"""Files, sockets and pipes that a process of ours may have open at once. A large day takes about half of it."""

WANTED = 65_536


def allow_open_files() -> None:
    """Let this process open as many files as the system permits: DuckDB aborts a process that runs out of them.

    Raises `FixSettings` if they are too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if allowed < NEEDED:
        raise FixSettings(
            f"this process may open only {allowed} files at once, and needs {NEEDED}; raise the limit, with `ulimit "
            "-n` in a shell or LimitNOFILE in a systemd unit"
        )
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
