"""How much a command prints and logs: the options `-v` and `-q`, before or after its name.

What is logged, and how, is in `pipeline.logs`.
"""

from __future__ import annotations

import logging

import click

__all__ = ["OPTIONS", "chosen_level", "is_quiet", "say"]

KEY = __name__
"""Key of the choice in `click.Context.meta`, which the program's context and the command's share."""


def chosen_level() -> int:
    """Return the level from which this command logs: details with `-v`, errors alone with `-q`."""
    return {"verbose": logging.DEBUG, "quiet": logging.ERROR}.get(_chosen(), logging.INFO)


def is_quiet() -> bool:
    """Return whether `-q` was given: the command prints only requested results, what is missing, and errors."""
    return _chosen() == "quiet"


def say(text: str) -> None:
    """Print information that a script does not need; nothing with `-q`."""
    if not is_quiet():
        print(text, flush=True)


def _chosen() -> str:
    context = click.get_current_context(silent=True)
    return f"{context.meta.get(KEY, '')}" if context is not None else ""


def _choose(context: click.Context, option: click.Parameter, is_given: bool) -> None:
    if is_given and context.meta.setdefault(KEY, option.name) != option.name:
        raise click.UsageError("--verbose and --quiet cannot be given together", context)


OPTIONS = (
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_choose,
        help="Also log details on stderr, such as each request and each wait.",
    ),
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_choose,
        help="Print only results, what is missing, and errors.",
    ),
)
"""Options of the program and of every command."""
