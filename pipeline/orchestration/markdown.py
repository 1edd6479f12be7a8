"""Names in the Markdown that Dagster shows: free text that must not be read as Markdown or HTML."""

from __future__ import annotations

import re

__all__ = ["escaped"]

MAX_NAME = 60
"""Characters of a name in a list."""


def escaped(name: str, *, limit: int | None = MAX_NAME) -> str:
    """Return a name on one line, cut to `limit`, with everything escaped that Markdown or HTML would interpret."""
    short = name if limit is None or len(name) <= limit else f"{name[: limit - 1]}…"
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(short.split()))
