"""One process at a time: OS file locks that die with their process, so that a killed run never blocks the next one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import filelock

from pipeline.errors import FixStorage

__all__ = ["locked"]

log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block; wait, saying so once, while another process has it.

    Raises `FixStorage` where the file cannot be made. Not reentrant.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log.info("another process is working on %s; waiting for it", what)
            lock.acquire()
    except OSError as error:
        raise FixStorage(f"{path} cannot be locked ({error.strerror or error}); is the folder writable?") from None
    try:
        yield
    finally:
        lock.release()
