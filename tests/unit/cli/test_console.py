"""How far a backfill is: a bar for a person at a terminal, else log lines."""

from __future__ import annotations

import io
import json
import logging
from datetime import date

import pytest
from rich.console import Console

from pipeline.cli import console
from pipeline.cli.console import ProgressReporter
from pipeline.extract.crawl import Progress
from pipeline.logs import to_stderr

DAY = date(2026, 11, 1)


def shown(*, is_terminal: bool) -> str:
    """Report some progress, and return what the console shows."""
    terminal = Console(file=io.StringIO(), force_terminal=is_terminal, width=120)
    reporter = ProgressReporter(terminal, [DAY])
    with reporter.shown():
        reporter(Progress(DAY, "windows", 2, 10, 1.0))
        reporter(Progress(DAY, "windows", 4, 10, 1.0))
    return terminal.file.getvalue()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every report be printed."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)


def test_terminal_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar replaces the lines of the log."""
    with to_stderr("text", logging.INFO):
        assert "4/10" in shown(is_terminal=True)
    assert capsys.readouterr().err == ""


def test_no_terminal_has_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """With the time that is left for the day, by the quota or the pace so far."""
    with to_stderr("text", logging.INFO):
        assert shown(is_terminal=False) == ""
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "2026-11-01: 4 of 10 windows, 6 s left for the day"


def test_json_has_lines_with_fields_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal makes no difference."""
    with to_stderr("json", logging.INFO):
        assert shown(is_terminal=True) == ""
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    fields = {name: line[name] for name in ("day", "unit", "done", "total", "seconds_left")}
    assert fields == {"day": "2026-11-01", "unit": "windows", "done": 4, "total": 10, "seconds_left": 6}


def test_quiet_has_neither(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors alone are logged with -q."""
    with to_stderr("text", logging.ERROR):
        assert shown(is_terminal=False) == ""
    assert capsys.readouterr().err == ""
