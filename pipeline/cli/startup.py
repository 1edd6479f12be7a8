"""What makes a command start with less CPU. It is for a process that is the command's alone."""

from __future__ import annotations

import gc
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

__all__ = ["start_quickly"]

GC_THRESHOLD = 50_000
"""New objects after which the garbage collector looks for cycles. Importing Dagster makes half a million objects that
all stay: at Python's own threshold of 700, walking them again and again takes a tenth of a command's time."""


def start_quickly() -> None:
    """Let this process look for garbage less often, and work as if pandas were not installed.

    pyarrow imports pandas with the first array, to recognize its objects; we pass it none, and importing it takes a
    third of a second. The dashboard, whose library needs pandas, is a process of its own.
    """
    gc.set_threshold(GC_THRESHOLD)
    sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas(MetaPathFinder):
    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by this process", name=fullname)
        return None
