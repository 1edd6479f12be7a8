"""How the errors of a run reach the command line."""

from __future__ import annotations

from pipeline.errors import FixSettings
from pipeline.orchestration.runner import original_error


def test_original_error_is_found_in_a_circle_of_causes() -> None:
    """Dagster can raise errors that are causes of each other. The search ends, and finds an error of ours."""
    first, second = ValueError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert original_error(first) is None
    second.__cause__ = ours = FixSettings("fix it")
    ours.__context__ = first
    assert original_error(first) is ours
