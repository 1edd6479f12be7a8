"""Documents are complete: every command, setting, table, view and column. Every module and statement is described."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs.generate import FOLDER, PAGES, page
from pipeline.cli.commands import call_metrics
from pipeline.quality.views import MACROS, VIEWS, read_docs
from pipeline.schema import TABLES, WINDOW_STATES
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
COMMANDS = call_metrics.commands


def section(name: str, heading: str) -> str:
    """Return the part of a reference page under a heading."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    found = re.search(rf"^## `{heading}`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def rows(text: str) -> list[str]:
    """Return the first cell of each table row whose first cell is code."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_made_from_the_code(name: str) -> None:
    """`poe docs` would not change the page."""
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == page(name)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_command_is_documented_with_its_options(command: str) -> None:
    """The page has a section for each command, which names every option."""
    text = section("commands", command)
    for parameter in COMMANDS[command].params:
        for option in parameter.opts:
            if option.startswith("-"):
                assert option in text, f"{command} {option}"


@pytest.mark.parametrize("variable", [field.validation_alias for field in Settings.model_fields.values()])
def test_setting_is_documented(variable: str) -> None:
    """The page has one row for each variable."""
    assert rows((FOLDER / "settings.md").read_text(encoding="utf-8")).count(variable) == 1


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_table_and_columns_are_documented(table: object) -> None:
    """The page has a section for each table, with all columns beyond the ids, in their order."""
    shared = {"session_date", *TABLES["tracks"].key}
    named = [name for name in rows(section("tables", table.name)) if name in table.schema.names]
    assert named == [name for name in table.schema.names if name not in shared]
    ids = rows((FOLDER / "tables.md").read_text(encoding="utf-8").split("## `")[0])
    assert set(ids) == shared


@pytest.mark.parametrize("view", [*VIEWS, *MACROS])
def test_view_and_columns_are_documented(view: str) -> None:
    """The page has a section for each view, with all its columns beyond the ids."""
    assert set(rows(section("views", view))) == read_docs(view).columns.keys() - set(TABLES["tracks"].key)


@pytest.mark.parametrize("state", sorted(WINDOW_STATES))
def test_state_of_a_window_is_documented(state: str) -> None:
    """The page says what each state means."""
    assert rows(section("tables", "windows")).count(state) == 1


def test_readme_fits_in_eight_kilobytes() -> None:
    """The README is short, and details are in docs/."""
    assert (ROOT / "README.md").stat().st_size <= 8000


def test_exact_versions_name_no_address() -> None:
    """Packages are pinned by name and version alone, so that any index serves them."""
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.+!-]+", line), line


def test_every_module_has_a_docstring() -> None:
    """Each Python file begins with a docstring."""
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path


def packages() -> dict[str, list[str]]:
    """Return the names of the modules and packages in each package, by the path of the package."""
    found = {}
    for init in sorted((ROOT / "pipeline").rglob("__init__.py")):
        modules = [path.stem for path in init.parent.glob("*.py") if not path.stem.startswith("__")]
        rooms = [path.parent.name for path in init.parent.glob("*/__init__.py")]
        if modules or rooms:
            found[str(init.parent.relative_to(ROOT))] = modules + rooms
    return found


PACKAGES = packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_in_which_order_to_read_it(package: str) -> None:
    """A paragraph that begins with "Read", or the list that follows it, names modules of the package."""
    docstring = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    _, *order = re.split(r"^Read\b|(?<=[.:] )Read\b", docstring, maxsplit=1, flags=re.MULTILINE)
    assert order, "no sentence says in which order to read the modules"
    assert set(re.findall(r"`(\w+)`", order[0])) & set(PACKAGES[package])


def test_every_statement_has_a_header() -> None:
    """Each SQL file begins with a comment that says what a row is, or what it defines."""
    for path in (ROOT / "pipeline").rglob("*.sql"):
        assert path.read_text(encoding="utf-8").startswith("-- "), path
