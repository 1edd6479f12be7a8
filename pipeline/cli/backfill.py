"""A backfill: days run one after the other through Dagster's job, what was missing afterwards, and the exit code.

How a day runs in this process is in `orchestration.runner`.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from datetime import date

from pipeline.alerts.teller import run_ended, run_failed
from pipeline.cli import console, signals, status
from pipeline.cli.alerts import telling_failure
from pipeline.cli.outcome import ExitCode, end_with
from pipeline.cli.verbosity import is_quiet
from pipeline.errors import CallMetricsError, FixCredentials, FixStorage, Interrupted
from pipeline.flow import Flow
from pipeline.orchestration.instance import open_instance
from pipeline.orchestration.runner import Runner
from pipeline.planning.completeness import DayCompleteness
from pipeline.settings import Settings

__all__ = ["run_days"]


def run_days(settings: Settings, days: Sequence[date]) -> ExitCode:
    """Run these days, and print what has landed and what is missing.

    If a run stops before its last day, what is finished is published and printed. Raises the error that stopped it if
    no day was finished, unless it was interrupted.
    """
    reporter = console.ProgressReporter(console.stderr(), days)
    finished: list[date] = []
    stopped: CallMetricsError | None = None
    with (
        telling_failure(settings, f"{days[0]}"),
        signals.deferred() as check_signals,
        Flow(settings, report=reporter) as flow,
        open_instance(settings) as instance,
    ):
        runner = Runner(instance, flow)
        gc.freeze()  # Dagster's objects live until the end; spare the garbage collector from walking them each time
        try:
            with reporter.shown(), flow.publishing_seldom():
                for day in days:
                    check_signals()
                    runner.run(day)
                    finished.append(day)
        except (Interrupted, FixStorage, FixCredentials) as error:
            if not finished and not isinstance(error, Interrupted):
                raise
            stopped = error
        run_ended(flow, finished)
        if stopped is not None and not isinstance(stopped, Interrupted):
            run_failed(flow, f"{days[len(finished)]}", str(stopped))
        results = [flow.known_completeness(day) for day in finished]
        requests = flow.requests_sent
    _print_results(settings, results, requests)
    if stopped is None:
        return status.exit_code(results)
    return end_with(
        ExitCode.INCOMPLETE,
        f"{stopped} ({len(days) - len(finished)} of {len(days)} days not finished; "
        "run the same command again to resume)",
    )


def _print_results(settings: Settings, results: Sequence[DayCompleteness], requests: dict[str, int]) -> None:
    if results and not is_quiet():
        console.stdout().print(status.days_table(results))
        print(f"requests: {', '.join(f'{name} {count}' for name, count in requests.items()) or 'none'}")
        print(f"database: {settings.warehouse}")
    status.print_missing(results)
