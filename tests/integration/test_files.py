"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from pipeline.files import locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.files import locked
with locked(Path(sys.argv[1]), "the day"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_lock_dies_with_its_process(tmp_path: Path) -> None:
    """A killed process does not block the next one."""
    path = tmp_path / "day.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        waiting = threading.Thread(target=_lock, args=(path,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    finally:
        process.kill()
        process.communicate()
    waiting.join(10)
    assert not waiting.is_alive()


def _lock(path: Path) -> None:
    with locked(path, "the day"):
        pass
