"""Settings of a command's whole process, so that it takes less CPU and memory. Not for Python that imports us."""

from __future__ import annotations

import ctypes
import gc
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

__all__ = ["tune_process"]

GC_THRESHOLD = 50_000
"""New objects after which the garbage collector runs. Importing Dagster makes half a million objects, and all of them
stay. At Python's own threshold of 700, looking at them again and again takes a tenth of a command's time."""

KEPT_BYTES = 4 << 20
"""Bytes from which glibc gives free memory back to the system. Its own limits begin lower and grow to 64 MB, so that
large arrays go where small objects are and leave holes: half of the memory of a large day was free and could not be
given back. With lower limits, the same memory would be requested again and again."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""The numbers of these parameters in malloc.h: bytes at the end of the heap, and bytes of one object."""


def tune_process() -> None:
    """Run the garbage collector less often, give memory back, and hide pandas from this process.

    pyarrow imports pandas with the first array, to recognize its objects. We pass it none, and the import takes a third
    of a second. The dashboard needs pandas, and is another process.
    """
    gc.set_threshold(GC_THRESHOLD)
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
    sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas(MetaPathFinder):
    """Refuses to import pandas, as if it were not installed."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by this process", name=fullname)
        return None
