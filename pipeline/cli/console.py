"""The terminal: consoles, and the progress of a backfill. Progress goes to stderr, results to stdout.

Tables of results are in `status`, and log lines in `pipeline.logs`.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from pipeline.cli.verbosity import is_quiet
from pipeline.extract.crawl import Progress
from pipeline.logs import are_json

__all__ = ["ProgressReporter", "stderr", "stdout"]

log = logging.getLogger(__name__)

WIDTH_WITHOUT_TERMINAL = 160
"""Columns if stdout is not a terminal; wide enough that nothing is cut off."""

SECONDS_BETWEEN_LINES = 5.0
"""Pause between lines of progress if there is no bar."""


class ProgressReporter:
    """Shows how far a backfill is: a bar with the time left on a terminal, else a log line every few seconds."""

    def __init__(self, console: Console, days: Sequence[date]) -> None:
        self._console = console
        self._days = list(days)
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._part: tuple[date, str] | None = None
        self._part_start = (0.0, 0)
        self._printed_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show the progress."""
        now = time.monotonic()
        if self._part != (part := (progress.day, progress.unit)):
            if self._part is None:
                self._printed_at = now
            self._part, self._part_start = part, (now, progress.done)
        seconds = self._seconds_left(progress, now)
        left = _duration(seconds)
        day = f"{progress.day}"
        if len(self._days) > 1 and progress.day in self._days:
            day += f" (day {self._days.index(progress.day) + 1} of {len(self._days)})"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", left=left)
            self._bar.update(
                self._task,
                description=f"{day}, {progress.unit}",
                completed=progress.done,
                total=progress.total,
                left=left,
            )
        elif now - self._printed_at >= SECONDS_BETWEEN_LINES:
            self._printed_at = now
            line = f"{day}: {progress.done} of {progress.total} {progress.unit}"
            fields = {name: getattr(progress, name) for name in ("day", "unit", "done", "total")}
            if progress.unit == "windows":
                line += f", {left} for the day"
                fields["seconds_left"] = None if seconds is None else math.ceil(seconds)
            log.info("%s", line, extra=fields)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar within the block, if stderr is a terminal and for a person to read."""
        if not self._console.is_terminal or are_json() or is_quiet():
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        with Bar(*columns, console=self._console, transient=True) as bar:
            self._bar, self._task = bar, None
            try:
                yield
            finally:
                self._bar = None

    def _seconds_left(self, progress: Progress, now: float) -> float | None:
        """Return what is left divided by the pace: the quota's or the one so far, whichever is slower."""
        started_at, done_before = self._part_start
        done = progress.done - done_before
        paces = [progress.rate] if progress.rate else []
        if done and now > started_at:
            paces.append(done / (now - started_at))
        return (progress.total - progress.done) / min(paces) if paces else None


def stderr() -> Console:
    return Console(file=sys.stderr, soft_wrap=True)


def stdout() -> Console:
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time left unknown"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min left"
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"
