"""Usage errors: one sentence that names what was probably meant and where to read more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.command_line import finish


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "call-metrics: missing command"),
        (("backfil",), "call-metrics: no such command 'backfil' (did you mean 'backfill'?)"),
        (("dashbord", "--port", "1"), "call-metrics: no such command 'dashbord' (did you mean 'dashboard'?)"),
        (("--versoin",), "call-metrics: no such option '--versoin' (did you mean '--version'?)"),
        (("backfill", "--form", "x"), "call-metrics backfill: no such option '--form' (did you mean '--from'?)"),
        (("sql", "x", "--fromat=csv"), "call-metrics sql: no such option '--fromat' (did you mean '--format'?)"),
        (("sql", "x", "-f"), "call-metrics sql: no such option '-f'"),
        (("sql", "x", "y"), "call-metrics sql: got unexpected extra argument (y)"),
        (("sql", "x", "two\nlines"), "call-metrics sql: got unexpected extra argument (two lines)"),
        (("backfill", "--to", "2026-01-01"), "call-metrics backfill: missing --from"),
        (("explain",), "call-metrics explain: missing --from, --to"),
        (("diff",), "call-metrics diff: missing A, B"),
        (("forget", "--user"), "call-metrics forget: option '--user' requires an argument"),
        (
            ("sql", "x", "--format", "xml"),
            "call-metrics sql: --format 'xml' is not one of 'table', 'csv', 'json', 'parquet'",
        ),
        (
            ("emulator", "--port", "65536"),
            "call-metrics emulator: --port must be a whole number from 0 to 65535, not '65536'",
        ),
        (("ui", "--port", "0"), "call-metrics ui: --port must be a whole number from 1 to 65535, not '0'"),
        (("completion", "pwsh"), "call-metrics completion: SHELL 'pwsh' is not one of 'bash', 'zsh', 'fish'"),
        (("mcp", "--seconds", "0"), "call-metrics mcp: --seconds must be a whole number from 1 to 3600, not '0'"),
        (("-v", "status", "-q"), "call-metrics status: --verbose and --quiet cannot be given together"),
        (("-qv", "status"), "call-metrics: --verbose and --quiet cannot be given together"),
        (("serve", "--port", "+1"), "call-metrics serve: --port must be a whole number from 0 to 65535, not '+1'"),
    ],
)
def test_usage_error_is_one_sentence(arguments: tuple[str, ...], sentence: str, command: Callable[..., Any]) -> None:
    """It starts with the command, ends with how to get help, and exits with 2."""
    program = sentence.partition(":")[0]
    assert finish(command(*arguments)) == (2, "", f"{sentence}; see `{program} --help`\n")


def test_unknown_command_unlike_any_lists_all(command: Callable[..., Any]) -> None:
    """If no name is similar, the commands are listed in the order of the help."""
    code, out, err = finish(command("frobnicate"))
    assert (code, out) == (2, "")
    assert err.startswith("call-metrics: no such command 'frobnicate' (choose from demo, backfill, status, ")
    assert err.endswith("; see `call-metrics --help`\n")


def test_empty_user_is_refused_before_anything_else(command: Callable[..., Any]) -> None:
    """The sentence says what to give, and nothing of erasing."""
    code, _, err = finish(command("forget", "--user", ""))
    assert (code, err) == (2, "call-metrics: --user is empty; give the id of the user to forget\n")
