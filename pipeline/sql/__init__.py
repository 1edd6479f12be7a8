"""SQL, one statement a file, each with a header that says its grain and what its columns mean. No logic here."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["names", "statement"]


@cache
def statement(name: str) -> str:
    """The text of `pipeline/sql/<name>.sql`."""
    return resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def names(folder: str) -> list[str]:
    """The statements of one folder, by name, sorted."""
    files = resources.files(__name__).joinpath(folder).iterdir()
    return sorted(f"{folder}/{file.name.removesuffix('.sql')}" for file in files if file.name.endswith(".sql"))
