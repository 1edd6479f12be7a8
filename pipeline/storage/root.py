"""The store that the settings name."""

from __future__ import annotations

from pipeline.settings import Settings
from pipeline.storage.local import LocalStore
from pipeline.storage.store import Store

__all__ = ["open_store"]


def open_store(settings: Settings) -> Store:
    """Return the store of the data root. Raises `FixSettings` if it needs a library that is not installed."""
    if settings.remote is None:
        return LocalStore(settings.data)
    from pipeline.storage.objects import ObjectStore

    return ObjectStore(settings.remote, settings.data)
