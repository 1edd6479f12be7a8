"""Files that are not what was written: told from those that only cannot be read just now, and put out of the way.

A broken file is renamed, never deleted: `<name>.set-aside-20261101T101500Z`. What is made in its place is the business
of whoever found it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.errors import Broken, FixStorage

__all__ = ["first_line", "kept_in", "reading", "set_aside"]

log = logging.getLogger(__name__)

MARK = ".set-aside"
"""What the names of all such files have after the name that they had."""


@contextlib.contextmanager
def reading(path: object, remedy: str) -> Iterator[None]:
    """The block reads a Parquet file, and raises `FixStorage` alone: `Broken` where the content is to blame.

    `remedy` says what to do about a broken one. What passes (no memory, too many open files, a network file system
    that is away) says nothing of the file.
    """
    try:
        yield
    except MemoryError:
        raise FixStorage(f"{path} cannot be read for want of memory; free some and run again") from None
    except OSError as error:
        if error.errno is not None:
            raise FixStorage(f"{path} cannot be read ({error.strerror}); mend it and run again") from None
        raise Broken(f"{path} cannot be read ({first_line(error)}); {remedy}", first_line(error)) from None
    except pa.ArrowException as error:
        raise Broken(f"{path} cannot be read ({first_line(error)}); {remedy}", first_line(error)) from None


def set_aside(path: str | Path, why: str, then: str, filesystem: pafs.FileSystem | None = None) -> str:
    """Rename the file at `path`, so that it is looked at by nobody but who wants to; returns the sentence that says so.

    `why` says what is wrong with it, `then` what becomes of what it held. Raises `OSError`.
    """
    filesystem = filesystem or pafs.LocalFileSystem()
    stamp = f"{MARK}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    aside, number = f"{path}{stamp}", 1
    while filesystem.get_file_info(aside).type != pafs.FileType.NotFound:
        number += 1
        aside = f"{path}{stamp}-{number}"
    filesystem.move(str(path), aside)
    if filesystem.get_file_info(f"{path}.wal").is_file:  # where DuckDB keeps what is not in the file yet
        filesystem.move(f"{path}.wal", f"{aside}.wal")
    sentence = f"{path} {why} and was set aside as {PurePosixPath(aside).name}; {then}"
    log.warning(sentence)
    return sentence


def kept_in(data: Path, warehouse: Path) -> list[Path]:
    """All files that were set aside of a data folder and a published database."""
    found = {*data.rglob(f"*{MARK}*"), *warehouse.parent.glob(f"{warehouse.name}{MARK}*")}
    return sorted(path for path in found if path.is_file())


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
