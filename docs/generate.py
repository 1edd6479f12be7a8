"""Writes the reference pages from the code: `python -m docs.generate`. A test compares them.

Tables come from `schema`, views from the headers of their SQL, settings from `Settings`, commands from the command
line.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pyarrow as pa

from pipeline.cli.commands import call_metrics
from pipeline.quality.thresholds import DEFAULTS, THRESHOLDS, THRESHOLDS_FILE
from pipeline.quality.views import MACROS, VIEWS, read_docs
from pipeline.schema import CALL_KEY, STAY_KEY, TABLES, TRACK_KEY, WINDOW_STATES
from pipeline.settings import SECRETS, Settings
from pipeline.warehouse.database import duckdb_type
from pipeline.warehouse.definitions import COLUMN_COMMENTS, COLUMN_COMMENTS_TABLE

__all__ = ["PAGES", "main"]

FOLDER = Path(__file__).parent / "reference"
IDS = ("session_date", *TRACK_KEY)


def tables() -> Iterator[str]:
    """Yield the page about the tables."""
    yield "# Tables"
    yield (
        "The tables are in `warehouse.duckdb`, and as Parquet under `tables/<table>/session_date=2026-11-01/`. Times "
        "are UTC, exact to the microsecond. `session_date` is the UTC date on which the call session started; a call "
        "over midnight belongs to the day on which it started. Values are as received, and NULL if the source has "
        "none. Every column has this comment in DuckDB too."
    )
    yield "## Ids"
    yield (
        "Every table but `incidents`, which is about many calls, starts with `session_date` and "
        f"{_code(CALL_KEY)}. Tables of a participant continue with {_code(STAY_KEY[len(CALL_KEY) :])}, tables of a "
        f"track with {_code(TRACK_KEY[len(STAY_KEY) :])}."
    )
    schema = TABLES["tracks"].schema
    yield _rows(("column", "type", ""), ((f"`{name}`", _type(schema, name), _comment("tracks", name)) for name in IDS))
    for table in TABLES.values():
        yield f"## `{table.name}`"
        yield f"{table.comment}. Unique by {_code(table.key)}."
        yield _rows(
            ("column", "type", ""),
            (
                (f"`{name}`", _type(table.schema, name), _comment(table.name, name))
                for name in table.schema.names
                if name not in IDS
            ),
        )
        if table.name == "participant_sessions":
            yield (
                "`is_subscriber`, `client_name`, `client_version` and `network_type` come from Participant Metrics "
                "alone. They are NULL for a stay without metrics: none are requested for a user who published nothing, "
                "if participant statistics say so. `client_ip` and the place (`city` to `accuracy_radius_meters`) come "
                "from Participant Metrics, and otherwise from participant statistics."
            )
        if table.name == "windows":
            yield "`state` is one of:"
            yield _rows(("state", ""), ((f"`{state}`", text) for state, text in WINDOW_STATES.items()))
        if table.name == "metric_points":
            yield (
                "In DuckDB this is a view: the metrics of a track are stored side by side, which is smaller and "
                "faster. Select from it as from any table."
            )
    yield "## `quality_thresholds`"
    yield (
        f"One row per kind of track: what counts as low, short or enough. It is read from `{THRESHOLDS_FILE}` in the "
        "data folder with every load. Edit the file to change what counts as poor; it starts with these defaults:"
    )
    yield _rows(("column", ""), ((f"`{name}`", text) for name, text in THRESHOLDS.items()))
    lines = [line.split(",") for line in DEFAULTS.splitlines()]
    yield _rows(lines[0], lines[1:])
    yield "## `column_comments`"
    yield f"{COLUMN_COMMENTS_TABLE}, also where the catalog has none: DuckLake takes no comments on columns of views."
    yield _rows(("column", ""), ((f"`{name}`", text) for name, text in COLUMN_COMMENTS.items()))


def views() -> Iterator[str]:
    """Yield the page about the views."""
    yield "# Views"
    yield (
        "The views are in `warehouse.duckdb`, on top of the [tables](tables.md). Durations are weighted by time. "
        "Missing data counts as neither good nor bad. The definitions are in the folders `sql` of `pipeline/quality`, "
        "one file each. Ids (`session_date` to `track_type`) are described with the tables."
    )
    for view in [*VIEWS, *MACROS]:
        docs = read_docs(view)
        yield f"## `{view}`"
        yield f"{docs.comment}"
        columns = ((f"`{name}`", text) for name, text in docs.columns.items() if name not in IDS)
        yield _rows(("column", ""), columns)


def settings() -> Iterator[str]:
    """Yield the page about the settings."""
    yield "# Settings"
    yield (
        "Settings come from the environment, or from a `.env` file in the working folder; the environment wins. A "
        "value that cannot be used, or a `CALL_METRICS_*` name that does not exist, is refused in one sentence."
    )
    fields = Settings.model_fields.values()
    yield _rows(
        ("variable", "meaning", "default"),
        [(f"`{field.validation_alias}`", f"{field.description}", _default(field.default)) for field in fields]
        + [
            (f"`{name}_FILE`", f"file that holds `{name}`, as Docker and Kubernetes mount secrets", "")
            for name in SECRETS
        ]
        + [("`DAGSTER_HOME`", "where Dagster keeps its records of runs", "`dagster` in the data folder")],
    )
    yield "Proxies and certificates follow the variables that every tool reads: see [operations](../operations.md)."


def commands() -> Iterator[str]:
    """Yield the page about the command line: the help of every command."""
    yield "# Commands"
    yield (
        "`call-metrics COMMAND`, or `python -m pipeline COMMAND`. Exit codes: 0 complete; 1 finished with something "
        "missing, which is listed; 2 could not start. Ctrl-C and SIGTERM end a command cleanly, with everything "
        "fetched so far landed. `call-metrics --version` prints the version."
    )
    context = call_metrics.make_context("call-metrics", [], resilient_parsing=True)
    names = call_metrics.list_commands(context)
    found = [(name, call_metrics.commands[name]) for name in names]
    yield _rows(("command", ""), ((f"[`{name}`](#{name})", command.get_short_help_str(200)) for name, command in found))
    for name, command in found:
        yield f"## `{name}`"
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        yield f"```text\n{command.get_help(inner)}\n```"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "settings": settings,
    "tables": tables,
    "views": views,
}
"""The pages by name."""


def page(name: str) -> str:
    """Return a page as Markdown."""
    note = "<!-- Made by `python -m docs.generate`. Edit the code, not this file. -->"
    parts = (part if part.startswith(("|", "`" * 3)) else textwrap.fill(part, 120) for part in PAGES[name]())
    return "\n\n".join([note, *parts]) + "\n"


def main() -> int:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name in PAGES:
        (FOLDER / f"{name}.md").write_text(page(name), encoding="utf-8")
    return 0


def _default(value: object) -> str:
    return "" if value is None else f"`{value}`"


def _comment(table: str, column: str) -> str:
    return TABLES[table].comment_of(column)


def _type(schema: pa.Schema, column: str) -> str:
    return duckdb_type(schema.field(column).type)


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _rows(heading: tuple[str, ...] | list[str], rows: object) -> str:
    lines = [heading, ["---"] * len(heading), *rows]  # type: ignore[misc]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
