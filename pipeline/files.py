"""Our files and folders: replaced whole, locked while in use, quarantined when broken, one folder per day.

What is in a file is the business of the room that writes it. Here is how files appear, change and disappear.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import filelock
import pyarrow as pa

from pipeline.errors import Broken, FixStorage, first_line

__all__ = [
    "QUARANTINE_MARK",
    "copy_file",
    "day_folder",
    "day_of",
    "folder_name",
    "is_locked",
    "locked",
    "log_quarantine",
    "move_file",
    "names_in",
    "quarantine",
    "quarantine_names",
    "quarantined",
    "quarantined_below",
    "reading",
    "remove_leftovers",
    "replacing",
    "wal",
]

log = logging.getLogger(__name__)

PARTITION = "session_date="

QUARANTINE_MARK = ".set-aside"
"""Follows the former name in the name of a quarantined file."""


def day_folder(root: Path, day: date) -> Path:
    """Return the folder of a day, such as `<root>/session_date=2026-11-01`."""
    return root / folder_name(day)


def folder_name(day: date) -> str:
    """Return the name of the folder of a day, such as `session_date=2026-11-01`."""
    return f"{PARTITION}{day.isoformat()}"


def day_of(folder: str) -> date | None:
    """Return the day of a folder, from its name; None if it is not the folder of a day."""
    try:
        return date.fromisoformat(folder.removeprefix(PARTITION)) if folder.startswith(PARTITION) else None
    except ValueError:
        return None


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none if it does not exist. Raises `FixStorage` if it cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FixStorage(f"{folder} cannot be read ({error.strerror}); fix it and run again") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file as a whole: write to the yielded path, which takes the place of `path` when the block ends well.

    Readers see the old file or the new one, never a part, and the new one survives a power cut: it is flushed to disk
    (fsync) before it gets its name, and the folder after. We do so for all data, because it costs milliseconds and
    a lost list of erased people cannot be repaired. Raises `OSError`. The old file stays, unless only the folder could
    not be flushed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def move_file(source: Path, target: Path) -> None:
    """Give a file another name in the same file system, in place of the file that has it, as `replacing` does.

    Raises `OSError`, with EXDEV if the two are in different file systems.
    """
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy the content of a file to a new one. Raises `OSError`.

    The kernel copies. Where the file system can (btrfs, XFS), both files share their blocks until one is written to, so
    that a copy takes no time and no space. Where the kernel cannot, Python copies.
    """
    if not hasattr(os, "copy_file_range") or not _copy_in_kernel(source, target):
        shutil.copyfile(source, target)


def _copy_in_kernel(source: Path, target: Path) -> bool:
    """Copy by copy_file_range. Returns whether the kernel could."""
    with source.open("rb", buffering=0) as old, target.open("wb", buffering=0) as new:
        left = os.fstat(old.fileno()).st_size
        while left:
            try:
                copied = os.copy_file_range(old.fileno(), new.fileno(), left)
            except OSError as error:
                if error.errno in _CANNOT_COPY:
                    return False
                raise
            if not copied:  # some file systems say so instead of refusing
                return False
            left -= copied
    return True


_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""What copy_file_range raises between two file systems, on special ones, on old kernels, and in some containers."""


def remove_leftovers(folder: Path, pattern: str = "*.tmp") -> None:
    """Delete the temporary files of a killed process. Call it only while you hold the
    folder's lock. Raises `OSError`.
    """
    for leftover in folder.glob(pattern):
        leftover.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether another process holds the lock at `path`. Raises `FixStorage` if that cannot be found out."""
    if not path.exists():
        return False
    with _lock_errors(path):
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        lock.release()
        return False


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block. Wait while another process holds it, and log that once.

    It is a lock of the operating system and dies with its process, so a killed run never blocks the next one. Not
    reentrant. Raises `FixStorage` if the file cannot be created.
    """
    with _lock_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log.info("another process is working on %s; waiting for it", what, extra={"waits_for": what})
            started_at = time.monotonic()
            lock.acquire()
            seconds = time.monotonic() - started_at
            log.debug("waited %.1f s for %s", seconds, what, extra={"waits_for": what, "seconds": round(seconds, 3)})
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _lock_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FixStorage(
            f"{path} cannot be locked ({error.strerror or error}); make its folder writable, or set another"
        ) from None


@contextlib.contextmanager
def reading(path: object, remedy: str) -> Iterator[None]:
    """Translate the errors of reading a Parquet file to `FixStorage`, and to `Broken` if its content is to blame.

    `remedy` says what to do about a broken file. Passing conditions (no memory, too many open files, a network file
    system that is away) say nothing about the content.
    """
    try:
        yield
    except MemoryError:
        raise FixStorage(f"{path} cannot be read (out of memory); free some and run again") from None
    except OSError as error:
        if error.errno is not None:
            raise FixStorage(f"{path} cannot be read ({error.strerror}); fix it and run again") from None
        raise Broken(f"{path} cannot be read ({first_line(error)}); {remedy}", first_line(error)) from None
    except pa.ArrowException as error:
        raise Broken(f"{path} cannot be read ({first_line(error)}); {remedy}", first_line(error)) from None


def quarantine(path: Path, why: str, then: str) -> str:
    """Rename a file so that we no longer read it: `<name>.set-aside-20261101T101500Z`. It is never deleted.

    `why` says what is wrong with it, `then` what happens to its content. Returns and logs the sentence made of both.
    A write-ahead log of DuckDB is renamed with its database. Raises `OSError`.
    """
    if not stat.S_ISREG(path.lstat().st_mode):  # a device or a pipe: renaming it could break the system
        raise OSError(errno.EINVAL, "it is not a regular file", f"{path}")
    target = next(other for name in quarantine_names(path.name) if not (other := path.with_name(name)).exists())
    path.rename(target)
    if wal(path).is_file():
        wal(path).rename(wal(target))
    return log_quarantine(path, why, target.name, then)


def quarantine_names(name: str) -> Iterator[str]:
    """Yield the names that a file quarantined now may get; the first that is free is its name."""
    stamped = f"{name}{QUARANTINE_MARK}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    yield stamped
    for number in itertools.count(2):
        yield f"{stamped}-{number}"


def log_quarantine(path: object, why: str, name: str, then: str) -> str:
    """Log and return the sentence about a file that was quarantined under another name."""
    sentence = f"{path} {why} and was quarantined as {name}; {then}"
    log.warning(sentence)
    return sentence


def quarantined(data: Path, warehouse: Path | None) -> list[Path]:
    """Return all quarantined files of a data folder and a published file, sorted. A DuckLake has no such file."""
    mark = f"{QUARANTINE_MARK}*"
    found = set(quarantined_below(data))
    if warehouse is not None:
        found.update(filter(Path.is_file, warehouse.parent.glob(f"{warehouse.name}{mark}")))
    return sorted(found)


def quarantined_below(folder: Path) -> list[Path]:
    """Return all quarantined files below a folder, sorted."""
    return sorted(path for path in folder.rglob(f"*{QUARANTINE_MARK}*") if path.is_file())


def wal(path: Path) -> Path:
    """Return the write-ahead log of a DuckDB file: what was written and is not in the file yet."""
    return path.with_name(f"{path.name}.wal")
