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

    `data` is where the data of the app are: workers on the same data take turns on its days. All apps of a lake take
    turns to publish; for a catalog in a file, by a lock file beside it.
    """
    if isinstance(published, LakeCatalog) and published.postgres is not None:
        return PostgresTurns(published, data)
    file = published.file if isinstance(published, LakeCatalog) else None
    return FileTurns(locks, publishing=file and file.with_name(f".{file.name}.lock"))


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
    claim: StoredFile | None = None,
) -> Warehouse | DuckLake:
    """Return the warehouse. `writer` is the writer's file of the embedded one.

    `files`, `work` and `claim` are those of `DuckLake`.
    """
    if isinstance(published, LakeCatalog):
        return DuckLake(
            published,
            turns=turns,
            owner=owner,
            thresholds=thresholds,
            facts=facts,
            files=files,
            work=work,
            claim=claim,
        )
    return Warehouse(published, writer, owner=owner, thresholds=thresholds, facts=facts)
