"""One run of one command: its exit code, and one sentence on stderr if something is wrong.

The commands themselves are in `commands`.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

from pipeline.cli.commands import COMPLETION_VARIABLE, call_metrics
from pipeline.cli.imports import hide_pandas
from pipeline.cli.outcome import PROGRAM, ExitCode, end_with
from pipeline.cli.signals import interrupt_on_sigterm
from pipeline.cli.usage import usage_error
from pipeline.errors import CallMetricsError, Interrupted

__all__ = ["main"]

GC_THRESHOLD = 50_000
"""New objects after which the garbage collector looks for cycles. Importing Dagster makes half a million objects that
all stay: at Python's own threshold of 700, walking them again and again takes a tenth of a command's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` are those of the process by default."""
    if request := os.environ.get(COMPLETION_VARIABLE):  # from the script of `call-metrics completion`, at each Tab
        return shell_complete(call_metrics, {}, PROGRAM, COMPLETION_VARIABLE, request)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that lacks a character
    if arguments is None:  # the process is ours alone
        gc.set_threshold(GC_THRESHOLD)
        hide_pandas()
    interrupt_on_sigterm()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
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
    return code


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run the command. Does not use `call_metrics()`, which handles errors in click's way."""
    try:
        if not all(_is_text(argument) for argument in arguments):
            raise click.UsageError("an argument is not in the encoding of your terminal; type it again")
        with call_metrics.make_context(PROGRAM, arguments) as context:
            code: int = call_metrics.invoke(context)
    except click.exceptions.Exit as end:  # of --help and --version
        return end.exit_code
    except click.UsageError as error:
        print(usage_error(error), file=sys.stderr)
        return ExitCode.NOT_STARTED
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
