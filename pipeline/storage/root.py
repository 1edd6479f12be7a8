"""The stores that the settings name."""

from __future__ import annotations

from pipeline.settings import Settings
from pipeline.storage.local import LocalStore
from pipeline.storage.store import Store

__all__ = ["open_shared_store", "open_store"]


def open_store(settings: Settings) -> Store:
    """Return the store of the app's data. Raises `FixSettings` if it needs a library that is not installed."""
    return _remote(settings.remote, settings) if settings.remote else LocalStore(settings.data)


def open_shared_store(settings: Settings) -> Store:
    """Return the store of the data root, which all apps of a deployment share. Raises what `open_store` raises."""
    return _remote(settings.root_location, settings) if settings.remote else LocalStore(settings.root)


def _remote(address: str, settings: Settings) -> Store:
    from pipeline.storage.objects import ObjectStore

    return ObjectStore(address, settings.data)
