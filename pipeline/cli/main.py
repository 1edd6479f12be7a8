"""One run of one command: its exit code, and one sentence on stderr if something is wrong.

The commands themselves are in `commands`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

from pipeline.cli.commands import COMPLETION_VARIABLE, call_metrics
from pipeline.cli.outcome import PROGRAM, ExitCode, complain, end_with
from pipeline.cli.usage import usage_error
from pipeline.errors import CallMetricsError, Interrupted
from pipeline.limits import allow_open_files
from pipeline.logs import LOG_FORMAT, are_json, to_stderr

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if request := os.environ.get(COMPLETION_VARIABLE):  # from the script of `call-metrics completion`, at each Tab
        return shell_complete(call_metrics, {}, PROGRAM, COMPLETION_VARIABLE, request)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that lacks a character
    with contextlib.ExitStack() as logs:
        if os.environ.get(LOG_FORMAT, "").strip() == "json":  # errors in arguments and settings are JSON too
            logs.enter_context(to_stderr("json", logging.WARNING))
        return _end(list(arguments), logs)


def _end(arguments: Sequence[str], logs: contextlib.ExitStack) -> int:
    """Run the command, and turn each error into an exit code and one sentence on stderr."""
    try:
        allow_open_files()
        code = _run(arguments, logs)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the pipe has seen enough
        _discard_output()
        return ExitCode.COMPLETE
    except OSError as error:
        _discard_output()
        what, why = error.filename or "the output", error.strerror or error
        return end_with(ExitCode.NOT_STARTED, f"{what} cannot be read or written ({why}); fix it and run again")
    except Interrupted as error:
        return end_with(ExitCode.INCOMPLETE, error)
    except KeyboardInterrupt:
        return end_with(ExitCode.INCOMPLETE, "stopped")
    except CallMetricsError as error:
        return end_with(ExitCode.NOT_STARTED, error)
    except Exception as error:
        if not are_json():
            raise  # Python prints the traceback, on many lines
        log.critical("%s: %s", PROGRAM, type(error).__name__, exc_info=True)
        return ExitCode.INCOMPLETE  # as Python ends
    return code


def _run(arguments: Sequence[str], logs: contextlib.ExitStack) -> int:
    """Parse the arguments and run the command. Does not use `call_metrics()`, which handles errors in click's way.

    Once the command knows the settings, it enters its way of logging in `logs`.
    """
    try:
        if not all(_is_text(argument) for argument in arguments):
            raise click.UsageError("an argument is not in the encoding of your terminal; type it again")
        with call_metrics.make_context(PROGRAM, list(arguments), obj=logs) as context:
            code: int = call_metrics.invoke(context)
    except click.exceptions.Exit as end:  # of --help and --version
        return end.exit_code
    except click.UsageError as error:
        return complain(ExitCode.NOT_STARTED, usage_error(error))
    return code


def _is_text(argument: str) -> bool:
    """Return whether it can be encoded as UTF-8, which broken bytes cannot."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _discard_output() -> None:
    """Discard what stdout has buffered and will be given."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
