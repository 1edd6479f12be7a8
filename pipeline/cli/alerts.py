"""`call-metrics alerts`: look now, tell what is new or over, and print it. What is told is decided in `alerts`.

Also what a backfill tells when it ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from pipeline.alerts.messages import Message
from pipeline.alerts.teller import Told, preview, run_failed, send_trial, tell
from pipeline.cli.outcome import ExitCode, end_with
from pipeline.cli.verbosity import is_quiet
from pipeline.errors import CallMetricsError, FixSettings, Interrupted
from pipeline.flow import Flow
from pipeline.planning.problems import counted
from pipeline.settings import Settings

__all__ = ["print_alerts", "tell_failure", "telling_failure"]

NO_ADDRESS = (
    "CALL_METRICS_ALERTS is not set; set it to an address as the library Apprise takes it, such as slack://… or "
    "mailto://…, or look without telling: `call-metrics alerts --dry-run`"
)


def print_alerts(settings: Settings, *, dry_run: bool, test: bool) -> ExitCode:
    """Look and tell, or only look (`dry_run`), or only send a test message (`test`); print what was done.

    Returns `INCOMPLETE` if an address did not accept a message or something could not be looked at. Raises
    `FixSettings` without an address or the library.
    """
    if not settings.alerts and not dry_run:
        raise FixSettings(NO_ADDRESS)
    if test:
        failures = send_trial(settings)
        count = len(settings.alert_addresses)
        print(f"addresses that accepted a test message: {count - len(failures)} of {count}")
        return _end(failures)
    with Flow(settings) as flow:
        if dry_run:
            messages, told = preview(flow)
        else:
            told = tell(flow)
            messages = list(told.messages)
    if dry_run or not is_quiet():
        _print(messages, told, verb="would tell" if dry_run else "told")
    return _end([*told.failures, *told.unseen])


@contextlib.contextmanager
def telling_failure(settings: Settings, subject: str) -> Iterator[None]:
    """Within the block, tell an error that a person can act on before it ends the command."""
    try:
        yield
    except Interrupted:
        raise
    except CallMetricsError as error:
        tell_failure(settings, subject, error)
        raise


def tell_failure(settings: Settings, subject: str, error: CallMetricsError) -> None:
    """Tell that a run failed, if alerts are on."""
    if settings.alerts:
        with contextlib.suppress(CallMetricsError), Flow(settings) as flow:
            run_failed(flow, subject, str(error))


def _print(messages: Sequence[Message], told: Told, *, verb: str) -> None:
    for message in messages:
        print(f"{verb}: {message.title}")
        for line in message.text.splitlines():
            print(f"    {line}" if line else "")
    print(f"{verb}: nothing new" if not messages else f"{verb}: {counted(len(messages), 'message')}")
    for item in told.open:
        print(f"open since {item.since:%Y-%m-%d %H:%M} UTC: {item.cause.title}")


def _end(problems: Sequence[str]) -> ExitCode:
    sys.stdout.flush()
    for problem in problems:
        end_with(ExitCode.INCOMPLETE, problem)
    return ExitCode.INCOMPLETE if problems else ExitCode.COMPLETE
