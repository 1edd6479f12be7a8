"""The table of promises in `tests.integration` names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tests.integration

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"(tests/\S+\.py)::(test_\w+)", tests.integration.__doc__ or "")


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_promise_names_a_test_that_exists(path: str, name: str) -> None:
    """A test that is renamed or moved is renamed in the table too."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test() -> None:
    """There are ten promises."""
    promises = re.split(r"^(?=\d+\.)", tests.integration.__doc__ or "", flags=re.MULTILINE)[1:]
    assert len(promises) == 10
    assert all("::test_" in promise for promise in promises)
