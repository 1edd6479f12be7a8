"""Documents say what there is: every command, setting, table and column, in the README and in the database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.cli.commands import call_metrics
from pipeline.quality.views import VIEWS
from pipeline.schema import TABLES, WINDOW_STATES
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = call_metrics.commands


def rows_starting(name: str) -> list[str]:
    return [line for line in README.splitlines() if line.startswith(f"| `{name}")]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_documented_with_its_options(command: str) -> None:
    """The README's table of commands has a row for each, which names every option."""
    (row,) = rows_starting(command)
    for parameter in COMMANDS[command].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in row, f"{command} {option}"


@pytest.mark.parametrize("variable", [field.validation_alias for field in Settings.model_fields.values()])
def test_every_setting_is_documented(variable: str) -> None:
    """The README's table of settings has a row for each variable."""
    assert len(rows_starting(f"{variable}`")) == 1


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_and_column_is_documented(table: object) -> None:
    """The README's table of tables has a row for each, with all columns beyond the ids, in their order."""
    (row,) = rows_starting(f"{table.name}`")
    columns = row.split("|")[3]
    named = [name for name in re.findall(r"`(\w+)`", columns) if name in table.schema.names]
    shared = {"session_date", "call_type", "call_id", "call_session_id", "user_id", "user_session_id"}
    shared |= {"track_id", "track_type"}
    assert named == [name for name in table.schema.names if name not in shared]
    assert all(f"`{name}`" in README for name in shared)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "track_kinds"])
def test_every_view_is_documented(view: str) -> None:
    """The README's table of views has a row for each."""
    assert len(rows_starting(f"{view}`")) == 1


@pytest.mark.parametrize("state", sorted(WINDOW_STATES))
def test_every_state_of_a_window_is_documented(state: str) -> None:
    """The README says what each state means."""
    assert f"`{state}` (" in README


def test_exact_versions_name_no_address() -> None:
    """Packages are pinned by name and version alone, so that any index serves them."""
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.+!-]+", line), line


def test_every_module_says_what_belongs_there() -> None:
    """Each module begins with a docstring."""
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path


def test_every_statement_says_its_grain() -> None:
    """Each SQL file begins with a comment that says what a row is, or what it defines."""
    for path in (ROOT / "pipeline").rglob("*.sql"):
        assert path.read_text(encoding="utf-8").startswith("-- "), path
