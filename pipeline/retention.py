"""Retention: removes raw responses, or whole days, that are old enough, if their day is complete.

Each day is removed in this order. The next run finishes a removal that was interrupted:

1. The day is closed, in its turn: its tables are brought up to date, and a file says that it is pruned and how complete
   it was (`planning.pruned`). From then on nobody reads its raw responses or requests anything of it.
2. If the whole day goes, it is removed from the database, which is published.
3. Its files are deleted.

Which days are complete is decided in `planning.completeness`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.planning.completeness import day_ends
from pipeline.planning.pruned import Removed
from pipeline.settings import Settings
from pipeline.storage.disk_use import DiskUse, disk_use

__all__ = ["Kept", "Pruned", "Pruning", "prune"]


@dataclass(frozen=True)
class Pruned:
    """What was removed of a day, or would be: its raw responses or all of it, and the bytes of these files."""

    day: date
    removed: Removed
    size: int


@dataclass(frozen=True)
class Kept:
    """A day that is old enough and stays, with the first reason.

    The reason is why it is not complete, or, if `is_broken`, why that cannot be found out.
    """

    day: date
    why: str
    is_broken: bool = False


@dataclass(frozen=True)
class Pruning:
    """What pruning did, or would do. Both lists are sorted by day."""

    pruned: Sequence[Pruned]
    kept: Sequence[Kept]

    @property
    def size(self) -> int:
        """The bytes of the files that were removed. Rows in the database are not counted."""
        return sum(day.size for day in self.pruned)


def prune(
    flow: Flow, now: datetime, *, dry_run: bool = False, report: Callable[[Pruned], None] = lambda _: None
) -> Pruning:
    """Remove what CALL_METRICS_KEEP_RAW_DAYS and CALL_METRICS_KEEP_DAYS let go at `now` (UTC). Finish what was begun.

    `report` is called with each day once its files are deleted. With `dry_run`, nothing is changed. Raises
    `FixSettings` if neither setting is there, and `FixStorage` if a closed day cannot be removed.
    """
    if flow.settings.keep_raw_days is None and flow.settings.keep_days is None:
        raise FixSettings(
            "set CALL_METRICS_KEEP_RAW_DAYS or CALL_METRICS_KEEP_DAYS to a number of days: without them everything is "
            "kept"
        )
    use = disk_use(flow.store)
    closed = set(flow.pruned.days())
    begun = _begun(flow, use, closed)
    pruned: list[Pruned] = [Pruned(day, removed, _size(use, day, removed)) for day, removed in begun.items()]
    kept: list[Kept] = []
    for day in sorted({*use.raw, *use.tables}):
        removed = _due(flow.settings, day, now)
        if removed is None or begun.get(day) in ("all", removed) or (day in closed and removed == "raw"):
            continue
        try:
            judged = flow.completeness(day) if dry_run else flow.close_day(day, removed)
        except FixStorage as error:  # another day may be fine
            kept.append(Kept(day, str(error), is_broken=True))
            continue
        if judged.is_complete:
            pruned = [one for one in pruned if one.day != day]
            pruned.append(Pruned(day, removed, _size(use, day, removed)))
        else:
            kept.append(Kept(day, str(next(iter(judged.problems), f"it is {judged.verdict}"))))
    pruned.sort(key=lambda one: one.day)
    if not dry_run:
        _remove(flow, pruned, report, _gone(flow, closed - set(use.tables)))
    return Pruning(pruned, kept)


def _begun(flow: Flow, use: DiskUse, closed: set[date]) -> dict[date, Removed]:
    """Return the closed days that still have files: an earlier removal was interrupted."""
    found: dict[date, Removed] = {}
    for day in sorted(closed.intersection({*use.raw, *use.tables})):
        known = flow.pruned.get(day)
        if known is not None and (known.removed == "all" or day in use.raw):
            found[day] = known.removed
    return found


def _due(settings: Settings, day: date, now: datetime) -> Removed | None:
    """Return what the settings let go of a day: `all`, its `raw` responses, or None for nothing."""
    if settings.keep_days is not None and now >= day_ends(day) + timedelta(days=settings.keep_days):
        return "all"
    if settings.keep_raw_days is not None and now >= day_ends(day) + timedelta(days=settings.keep_raw_days):
        return "raw"
    return None


def _gone(flow: Flow, days: set[date]) -> set[date]:
    """Return which of some closed days without tables were removed as a whole.

    A load that ran meanwhile may have brought one of these back into the database.
    """
    return {day for day in days if (known := flow.pruned.get(day)) is not None and known.removed == "all"}


def _remove(flow: Flow, pruned: Sequence[Pruned], report: Callable[[Pruned], None], gone: set[date]) -> None:
    """Remove closed days from the database, then their files. `gone` are days whose files went earlier."""
    whole = {one.day for one in pruned if one.removed == "all"}
    if whole | gone:
        flow.drop(sorted(whole | gone))
    if tables := [one.day for one in pruned if one.removed == "raw"]:
        flow.load(tables)  # they may have been brought up to date just now
    for one in pruned:
        flow.delete_files(one.day)
        report(one)


def _size(use: DiskUse, day: date, removed: Removed) -> int:
    return use.raw_bytes(day) + (use.table_bytes(day) if removed == "all" else 0)
