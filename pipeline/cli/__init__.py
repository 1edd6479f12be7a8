"""The command line: arguments in, exit code out.

Here is everything about commands, options, help texts, exit codes, signals and what a terminal shows. What the commands
do is in the packages below; a backfill runs as jobs of Dagster, through `orchestration`.

Read `commands` first (every command with its options), then `main` (one run of one command: errors and exit codes) and
`usage` (how arguments are parsed). A longer command is in a module of its name, such as `backfill`, `status` or
`prune`; `sizes` is a part of `status`, and `metrics` with `openmetrics` is the status for a collector. What commands
share is in `dates`, `console`, `outcome`, `verbosity` (`-v` and `-q`), `signals` and `startup`.

A command imports what it needs when it runs, so that `call-metrics --help` and shell completion are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.cli.outcome import ExitCode, end_with
from pipeline.cli.signals import interrupt_on_sigterm
from pipeline.cli.startup import tune_process

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` are those of the process by default."""
    interrupt_on_sigterm()
    try:  # the import takes a tenth of a second, in which a signal may arrive
        from pipeline.cli.main import run
    except KeyboardInterrupt:
        return end_with(ExitCode.INCOMPLETE, "stopped")
    if arguments is None:
        tune_process()
    return run(sys.argv[1:] if arguments is None else arguments)
