"""An object as a file: only what is read is fetched."""

from __future__ import annotations

import io
from collections.abc import Callable

__all__ = ["TAIL_BYTES", "RangedFile"]

TAIL_BYTES = 64 << 10
"""Bytes at the end that are fetched with the first read there. Parquet files are read from their end, and this holds
the whole description of most of ours, so that an index costs one request, or one and one per row group."""


class RangedFile(io.RawIOBase):
    """A file of known size that is read by ranges. `fetch` returns the bytes of one, given its start and end.

    `tail` are the last bytes, if they are known already.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], tail: bytes | None = None) -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._tail = tail
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next read starts."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, the present place or the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes; all that are left if `size` is negative."""
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        start, self._at = self._at, max(self._at, end)
        return self._range(start, end) if end > start else b""

    def readall(self) -> bytes:
        """Return everything that is left."""
        return self.read()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes. Returns how many there were."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _range(self, start: int, end: int) -> bytes:
        tail_starts = max(0, self._size - (TAIL_BYTES if self._tail is None else len(self._tail)))
        if start >= tail_starts:
            if self._tail is None:
                self._tail = self._fetch(tail_starts, self._size)
            return self._tail[start - tail_starts : end - tail_starts]
        return self._fetch(start, end)
