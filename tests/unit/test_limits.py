"""The limit on open files is raised as far as the system permits."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW = "import resource; from pipeline.limits import allow_open_files; allow_open_files(); "
SHOW += "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


def limited(soft: int, hard: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that may open so many files."""
    limits = f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$@"'
    return subprocess.run(
        ["sh", "-c", limits, "sh", sys.executable, *command], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("soft", "hard", "allowed"), [(256, 1024, 1024), (300, 300, 300), (64, 512, 512)])
def test_limit_is_raised_to_what_is_permitted(soft: int, hard: int, allowed: int) -> None:
    """A soft limit is where shells and systems start, not what is permitted."""
    assert limited(soft, hard, "-c", SHOW).stdout == f"{allowed}\n"


def test_too_few_files_are_refused_before_anything_starts() -> None:
    """DuckDB would end the process in the middle of its work."""
    ended = limited(64, 64, "-m", "pipeline", "status")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "call-metrics: this process may open only 64 files at once, and needs 256; raise the limit, with `ulimit -n` "
        "in a shell or LimitNOFILE in a systemd unit\n"
    )
