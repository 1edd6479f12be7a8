"""Keeps connections to Dagster's SQLite records open during a run.

Dagster makes a new SQLAlchemy engine for every event that it records: each statement is compiled anew, and each
connection opened anew. With some 120 events a day that is more than half of the CPU of a day that needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool

__all__ = ["kept_engines"]

STORAGES: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage)
"""Modules of Dagster that make engines, each by its own name `create_engine`."""


@contextmanager
def kept_engines() -> Iterator[None]:
    """Make one engine per database of Dagster's SQLite storages, and close all at the end. For one thread at a time."""
    kept: dict[str, Engine] = {}
    closing = ExitStack()

    def keep(url: str, *, connect_args: dict[str, Any] | None = None, **_: Any) -> Engine:
        if url not in kept:  # Dagster's own pool class keeps no connection
            arguments = {"check_same_thread": False, **(connect_args or {})}
            engine = kept[url] = create_engine(url, poolclass=QueuePool, connect_args=arguments)
            closing.callback(engine.dispose)
            engine.dispose = _stay_open  # type: ignore[method-assign]
        return kept[url]

    before = [module.create_engine for module in STORAGES]
    for module in STORAGES:
        module.create_engine = keep
    try:
        yield
    finally:
        for module, original in zip(STORAGES, before, strict=True):
            module.create_engine = original
        closing.close()


def _stay_open(close: bool = True) -> None:
    """Stand for `Engine.dispose`, which Dagster calls after each event."""
