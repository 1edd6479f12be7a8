"""What a command need not import: every import costs CPU with each start."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

__all__ = ["hide_pandas"]


def hide_pandas() -> None:
    """Let this process work as if pandas were not installed.

    pyarrow imports it with the first array, to recognize its objects; we pass it none, and importing it takes a third
    of a second. The dashboard, whose library needs pandas, is a process of its own.
    """
    sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas(MetaPathFinder):
    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by this process", name=fullname)
        return None
