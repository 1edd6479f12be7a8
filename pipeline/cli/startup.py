"""Makes a command start with less CPU. Changes the whole process, so it is not for Python that imports us."""

from __future__ import annotations

import gc
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

__all__ = ["start_quickly"]

GC_THRESHOLD = 50_000
"""New objects after which the garbage collector runs. Importing Dagster makes half a million objects, and all of them
stay. At Python's own threshold of 700, looking at them again and again takes a tenth of a command's time."""


def start_quickly() -> None:
    """Run the garbage collector less often, and hide pandas from this process.

    pyarrow imports pandas with the first array, to recognize its objects. We pass it none, and the import takes a third
    of a second. The dashboard needs pandas, and is another process.
    """
    gc.set_threshold(GC_THRESHOLD)
    sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas(MetaPathFinder):
    """Refuses to import pandas, as if it were not installed."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by this process", name=fullname)
        return None
