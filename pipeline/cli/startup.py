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

MMAP_THRESHOLD = 1 << 20
"""Bytes from which glibc asks the system for memory, and gives it back when it is free. Its own threshold begins lower
and grows to 32 MB, so that large arrays go where small objects are and leave holes: most of the memory of a large day
was free and could not be given back."""

_M_MMAP_THRESHOLD = -3
"""The name of that parameter in malloc.h."""


def tune_process() -> None:
    """Run the garbage collector less often, give memory back, and hide pandas from this process.

    pyarrow imports pandas with the first array, to recognize its objects. We pass it none, and the import takes a third
    of a second. The dashboard needs pandas, and is another process.
    """
    gc.set_threshold(GC_THRESHOLD)
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas(MetaPathFinder):
    """Refuses to import pandas, as if it were not installed."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by this process", name=fullname)
        return None
