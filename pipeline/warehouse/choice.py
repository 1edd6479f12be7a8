"""Which warehouse it is, by where it is published: the embedded file or a DuckLake; and how processes take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.catalog import LakeCatalog
from pipeline.storage import Store, StoredFile
from pipeline.turns import FileTurns, Turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.load import Warehouse
from pipeline.warehouse.postgres import PostgresTurns

__all__ = ["choose_turns", "choose_warehouse"]


def choose_turns(published: Path | LakeCatalog, data: str, locks: Path) -> Turns:
    """Return turns by PostgreSQL if the catalog is there, by files in the folder `locks` otherwise.

    `data` is where the data are: workers on the same data take turns.
    """
    if isinstance(published, LakeCatalog) and published.postgres is not None:
        return PostgresTurns(published, data)
    return FileTurns(locks)


def choose_warehouse(
    published: Path | LakeCatalog,
    writer: Path,
    *,
    turns: Turns,
    owner: Callable[[], str],
    thresholds: Path | StoredFile,
    facts: Callable[[], Mapping[str, str]] = dict,
    files: Store | None = None,
    work: Path | None = None,
) -> Warehouse | DuckLake:
    """Return the warehouse. `writer` is the writer's file of the embedded one.

    `files` and `work` are those of `DuckLake`.
    """
    if isinstance(published, LakeCatalog):
        return DuckLake(published, turns=turns, owner=owner, thresholds=thresholds, facts=facts, files=files, work=work)
    return Warehouse(published, writer, owner=owner, thresholds=thresholds, facts=facts)
