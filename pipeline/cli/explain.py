"""Why the poor share changed between two spans of days: as text, as JSON, and as a picture."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.table import Table
from rich.text import Text

from pipeline.cli import console
from pipeline.cli.outcome import ExitCode, end_with
from pipeline.errors import FixSettings
from pipeline.serving.changes import Explanation, Span, explain
from pipeline.serving.changes.texts import DIMENSIONS, as_json, headline, notes, points, problem, shown, value_of
from pipeline.serving.formatting import percent
from pipeline.settings import Settings, parse_date

__all__ = ["print_explanation"]


def print_explanation(
    settings: Settings, since: str, until: str, against: str | None, *, as_json_text: bool, picture: str | None
) -> ExitCode:
    """Print why the poor share changed. Returns `INCOMPLETE` if there is too little data for a ranking."""
    span = _span(since, until, "--from", "--to")
    explanation = explain(settings.warehouse, span, _against(against) if against else span.before())
    if picture:
        from pipeline.serving.changes.picture import write

        write(explanation, Path(picture))
    if as_json_text:
        print(orjson.dumps(as_json(explanation), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_text(explanation, picture)
    missing = problem(explanation)
    return end_with(ExitCode.INCOMPLETE, missing) if missing else ExitCode.COMPLETE


def _print_text(explanation: Explanation, picture: str | None) -> None:
    print(headline(explanation))
    for note in notes(explanation):
        print(note)
    if explanation.is_ranked:
        console.stdout().print(_table(explanation))
        left_out = len(explanation.parts) - len(shown(explanation))
        print(f"{left_out} more parts are smaller, less certain or 0; --json has all.")
        print("Parts say what went along with the change, not what caused it.")
    if picture:
        print(picture)


def _table(explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "dimension", "value", "kind", "points", "interval", "stays", "after", "poor", "after"):
        table.add_column(name, justify="left" if name in ("dimension", "value", "kind") else "right")
    for part in shown(explanation):
        contribution, interval = points(part)
        table.add_row(
            f"{part.rank}",
            DIMENSIONS[part.dimension],
            Text(value_of(part)),
            part.kind,
            contribution,
            interval,
            f"{part.n_before:,}",
            f"{part.n_after:,}",
            percent(part.poor_share_before),
            percent(part.poor_share_after),
        )
    return table


def _span(first: str, last: str, first_name: str, last_name: str) -> Span:
    since, until = parse_date(first_name, first), parse_date(last_name, last)
    if until < since:
        raise FixSettings(f"{last_name} {until} is before {first_name} {since}; swap them")
    return Span(since, until)


def _against(text: str) -> Span:
    first, dots, last = text.partition("..")
    if not dots:
        raise FixSettings(f"--against is {text[:60]!r}; write two dates with two dots, such as 2026-11-01..2026-11-07")
    return _span(first, last, "the start of --against", "the end of --against")
