"""A rebuild: tables and database from the raw responses, what each day has, and what is missing.

The rebuild itself is `Flow.rebuild`.
"""

from __future__ import annotations

from datetime import date

from pipeline.cli import status
from pipeline.cli.dates import landed_between, none_between
from pipeline.cli.outcome import ExitCode
from pipeline.cli.verbosity import say
from pipeline.flow import Flow
from pipeline.planning.pruned import PrunedDay
from pipeline.settings import Settings
from pipeline.tables.build import TablesBuilt

__all__ = ["run_rebuild"]


def run_rebuild(settings: Settings, since: str | None, until: str | None) -> ExitCode:
    """Rebuild the landed days from --from to --to. Raises `FixSettings` if these are not dates in order."""
    with Flow(settings) as flow:
        landed = flow.known_days()
        chosen = landed_between(landed, since, until)
        pruned = {day: known for day in flow.pruned.days() if day in chosen and (known := flow.pruned.get(day))}

        def report(day: date, built: TablesBuilt) -> None:
            _print_pruned(pruned[day]) if day in pruned else _print_built(day, built)

        flow.rebuild(chosen, report)
        days = [flow.completeness(day) for day in chosen]
    if not landed:
        print(f"no raw responses under {flow.landing.store.url}; there is nothing to rebuild")
    elif not chosen:
        print(none_between(landed, since, until))
    status.print_missing(days)
    return status.exit_code(days)


def _print_pruned(day: PrunedDay) -> None:
    tables = "its tables stay as they are" if day.removed == "raw" else "nothing of it is left"
    why = f"its raw responses were pruned on {day.at:%Y-%m-%d}"
    print(f"{day.day}: cannot be rebuilt, because {why}; {tables}", flush=True)


def _print_built(day: date, built: TablesBuilt) -> None:
    say(f"{day}: {built.rows['call_sessions']} calls, {built.rows['metric_points']} points")
