"""Upgrades: rebuilds tables that an earlier version wrote.

The tables of a pruned day cannot be rebuilt, and are adapted instead (`pruned`). A day that another process works on is
left to that process, or to the next load, if its tables can be read as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from functools import partial

from pipeline.landing.days import DayLocks
from pipeline.landing.landing import Landing
from pipeline.planning.pruned import PrunedDays
from pipeline.storage import Store, StoredFile
from pipeline.tables.lake import Lake
from pipeline.tables.provenance import is_outdated, rules
from pipeline.tables.pruned import adapt_day

__all__ = ["Upgrade"]

log = logging.getLogger(__name__)


class Upgrade:
    """The upgrade of all tables of a data folder or store. Methods raise `FixStorage`."""

    def __init__(self, store: Store, landing: Landing, lake: Lake, pruned: PrunedDays, locks: DayLocks) -> None:
        self._store = store
        self._landing = landing
        self._lake = lake
        self._pruned = pruned
        self._locks = locks
        self._begun = StoredFile(store, ".work/upgrading")
        self._rules = StoredFile(store, "tables/rules")
        self._is_complete = False
        self.is_done = False
        """Whether this process knows that all tables follow our rules, and are loaded."""

    def run(self, build: Callable[[date], object]) -> list[date]:
        """Rebuild outdated tables; `build` does it for one day. Returns the days to load because of it.

        These are all days if an earlier upgrade was interrupted between its tables and its database.
        """
        self._is_complete = self._is_known()
        if self._is_complete:
            return []
        pruned = self._pruned.days()
        landed = {*self._landing.days()} - {*pruned}
        outdated = [day for day in self._lake.days() if day in landed and is_outdated(self._mark(day))]
        free = [day for day in outdated if not (self._mark(day) and self._locks.is_taken(day))]
        if free:
            log.info("rebuilding the tables of %d days, which an earlier version of Call Metrics wrote", len(free))
        for day in free:
            self._begun.create(b"")  # for each day: another process may have finished its upgrade meanwhile
            build(day)
        for day in pruned:
            if (known := self._pruned.get(day)) is not None and known.rules != rules():
                self._begun.create(b"")
                self._locks.run(day, partial(adapt_day, self._lake, self._pruned, day))
        self._is_complete = free == outdated
        return self._lake.days() if self._begun.exists() else []

    def finish(self) -> None:
        """Note that what `run` returned is loaded."""
        self._begun.delete()
        self.is_done = self._is_complete
        if self.is_done and self._store.is_remote and not self._is_known():
            self._rules.replace(rules().encode())

    def _is_known(self) -> bool:
        """Return whether another process found that all tables in an object store follow our rules.

        To check them costs a request for each day.
        """
        if not self._store.is_remote or self._begun.exists():
            return False
        try:
            return self._rules.read_bytes() == rules().encode()
        except FileNotFoundError:
            return False

    def _mark(self, day: date) -> str | None:
        return self._lake.fingerprint("windows", day)
