"""What the command line shows while it works and when it is done. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from pipeline.extract.crawl import Progress
from pipeline.planning.completeness import DayCompleteness
from pipeline.schema import WINDOW_STATES

__all__ = ["Meter", "logging_to_stderr", "stderr", "stdout", "survey_table"]

WIDE = 160
"""Columns where there is no terminal, so that nothing is cut."""

PLAIN_SECONDS = 5.0
"""Seconds between lines of progress where there is no terminal."""


class Meter:
    """Shows how far the fetching is: a bar with the time left on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, days: Sequence[date]) -> None:
        self._console = console
        self._days = list(days)
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._part: object = None
        self._began = (0.0, 0)
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Take in how far it is."""
        now = time.monotonic()
        if self._part != (part := (progress.day, progress.unit)):
            if self._part is None:
                self._told_at = now
            self._part, self._began = part, (now, progress.done)
        left = _duration(self._seconds_left(progress, now))
        day = f"{progress.day}"
        if len(self._days) > 1 and progress.day in self._days:
            day += f" (day {self._days.index(progress.day) + 1} of {len(self._days)})"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("")
            self._bar.update(
                self._task,
                description=f"{day}, {progress.unit}",
                completed=progress.done,
                total=progress.total,
                left=left,
            )
        elif now - self._told_at >= PLAIN_SECONDS:
            self._told_at = now
            said = f"{day}: {progress.done} of {progress.total} {progress.unit}"
            self._console.print(f"{said}, {left} for the day" if progress.unit == "windows" else said, highlight=False)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar for the length of the block, where there is a terminal."""
        if not self._console.is_terminal:
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
        """Windows left by the pace: what the quota allows, or what was reached so far where that is less."""
        began, done_then = self._began
        done = progress.done - done_then
        paces = [progress.rate] if progress.rate else []
        if done and now > began:
            paces.append(done / (now - began))
        return (progress.total - progress.done) / min(paces) if paces else None


class _Lines(logging.Handler):
    """Log lines as they are, one each, above the bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message."""
        self._console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def logging_to_stderr(console: Console) -> Iterator[None]:
    """Lines of our own modules on the console."""
    logger = logging.getLogger("pipeline")
    handler = _Lines(console)
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.INFO
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level = before


def stderr() -> Console:
    return Console(file=sys.stderr, soft_wrap=True)


def stdout() -> Console:
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def survey_table(surveys: Sequence[DayCompleteness], now: datetime | None = None) -> Table:
    """A row per day: what is known, what has landed, what is missing, and how long the source will remember."""
    now = now or datetime.now(UTC)
    table = Table(box=None, pad_edge=False)
    for name in ("day", "calls", "live", "stays", *WINDOW_STATES, "due", "days left", ""):
        table.add_column(name, justify="left" if name in ("day", "") else "right", no_wrap=True)
    for survey in surveys:
        stays = f"{survey.held}" if survey.held >= survey.promised else f"{survey.held} of {survey.promised}"
        table.add_row(
            f"{survey.day}",
            f"{survey.calls}",
            f"{survey.live_calls}",
            stays,
            *(f"{survey.windows.get(state, 0)}" for state in WINDOW_STATES),
            f"{survey.due}",
            f"{survey.days_left(now)}",
            survey.verdict,
        )
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time left unknown"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min left"
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"
