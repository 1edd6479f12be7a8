"""Two Stream apps side by side: emulators with calls, credentials and quotas of their own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.catalog import LakeCatalog
from pipeline.emulator import Emulator, ManualClock, Quota, World, odd_world
from pipeline.settings import Secret
from tests.support.flows import AFTERWARDS, DAY, WORLD
from tests.support.lakes import query

__all__ = ["SALES", "SUPPORT", "access", "contents", "rows", "two_apps"]

SUPPORT, SALES = "support", "sales"
STARTS = {SUPPORT: date(2026, 2, 1), SALES: DAY}
KEYS = {SUPPORT: "key-of-support", SALES: "key-of-sales"}


@contextmanager
def two_apps(sales: World | None = None) -> Iterator[dict[str, Emulator]]:
    """Yield the emulators of both apps, by name."""
    worlds = {SUPPORT: WORLD, SALES: sales or odd_world(DAY)}
    quotas = {SUPPORT: Quota(1_000, 60.0), SALES: Quota(2_000, 60.0)}

    def emulator(app: str) -> Emulator:
        return Emulator(
            worlds[app],
            clock=ManualClock(AFTERWARDS),
            quotas={"participant_metrics": quotas[app]},
            key=KEYS[app],
            secret=f"secret-of-{app}-{'x' * 32}",  # a shorter one is no good for signing
        )

    with emulator(SUPPORT) as support, emulator(SALES) as other:
        yield {SUPPORT: support, SALES: other}


def access(app: str, emulator: Emulator) -> dict[str, Any]:
    """Return what of an app's settings is not that of the deployment."""
    return {"api_key": emulator.key, "api_secret": Secret(emulator.secret), "start": STARTS[app]}


def contents(folder: Path) -> dict[str, str]:
    """Return a hash of every file in a folder, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(catalog: LakeCatalog, table: str) -> Counter[Any]:
    """Return the rows of a table, counted."""
    return Counter(map(repr, query(catalog, f"FROM {table}")))
