"""`call-metrics prune`: prints what was removed of each day, or would be, and which old days stay.

What is removed, and when, is in `retention`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.cli.outcome import ExitCode
from pipeline.cli.verbosity import say
from pipeline.flow import Flow
from pipeline.planning.problems import counted
from pipeline.retention import Pruned, prune
from pipeline.settings import Settings
from pipeline.storage import OldVersions
from pipeline.storage.disk_use import megabytes

__all__ = ["run_prune"]


def run_prune(settings: Settings, *, dry_run: bool) -> ExitCode:
    """Remove what the settings let go, or only print it. Returns `INCOMPLETE` if a day cannot be used.

    With `-q`, what was removed is not printed; what would be removed and what stays is. Raises `FixSettings` and
    `FixStorage`.
    """
    with Flow(settings) as flow:
        done = prune(flow, datetime.now(UTC), dry_run=dry_run, report=lambda day: say(_line(day)))
        versions = flow.store.old_versions() if done.pruned and not dry_run else OldVersions.NONE
    if dry_run:
        for day in done.pruned:
            print(_line(day))
    for kept in done.kept:
        print(f"{kept.day} stays: {kept.why}")
    if not done.pruned:
        say("nothing is old enough and complete" if done.kept else "nothing is old enough")
    elif dry_run:
        print(f"{megabytes(done.size)} of {counted(len(done.pruned), 'day')} would be removed; nothing was")
    else:
        say(f"{megabytes(done.size)} of {counted(len(done.pruned), 'day')} removed")
    if versions is not OldVersions.NONE:
        say(f"{settings.location} may keep old versions of these files, for as long as its lifecycle rules say")
    return ExitCode.INCOMPLETE if any(kept.is_broken for kept in done.kept) else ExitCode.COMPLETE


def _line(day: Pruned) -> str:
    what = "the whole day" if day.removed == "all" else "raw responses"
    return f"{day.day}: {what}, {megabytes(day.size)}"
