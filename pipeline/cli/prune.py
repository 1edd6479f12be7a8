"""`call-metrics prune`: what was removed of each day, or would be, and which old days stay.

What is removed, and when, is in `retention`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.cli.outcome import ExitCode
from pipeline.flow import Flow
from pipeline.planning.problems import counted
from pipeline.retention import Pruned, prune
from pipeline.settings import Settings
from pipeline.storage import OldVersions
from pipeline.storage.disk_use import megabytes

__all__ = ["run_prune"]


def run_prune(settings: Settings, *, dry_run: bool) -> ExitCode:
    """Remove what the settings let go, or only print it. Returns `INCOMPLETE` if a day cannot be used.

    Raises `FixSettings` and `FixStorage`.
    """
    with Flow(settings) as flow:
        done = prune(flow, datetime.now(UTC), dry_run=dry_run, report=_print_day)
        versions = flow.store.old_versions() if done.pruned and not dry_run else OldVersions.NONE
    if dry_run:
        for day in done.pruned:
            _print_day(day)
    for kept in done.kept:
        print(f"{kept.day} stays: {kept.why}")
    if not done.pruned:
        print("nothing is old enough and complete" if done.kept else "nothing is old enough")
    elif dry_run:
        print(f"{megabytes(done.size)} of {counted(len(done.pruned), 'day')} would be removed; nothing was")
    else:
        print(f"{megabytes(done.size)} of {counted(len(done.pruned), 'day')} removed")
    if versions is not OldVersions.NONE:
        print(f"{settings.location} may keep old versions of these files: how long is for its lifecycle rules to say")
    return ExitCode.INCOMPLETE if any(kept.is_broken for kept in done.kept) else ExitCode.COMPLETE


def _print_day(day: Pruned) -> None:
    what = "the whole day" if day.removed == "all" else "raw responses"
    print(f"{day.day}: {what}, {megabytes(day.size)}", flush=True)
