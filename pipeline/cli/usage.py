"""How arguments are parsed: what click does not do by itself, and the one sentence for a usage error.

The commands are in `commands`.
"""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.outcome import PROGRAM
from pipeline.cli.verbosity import OPTIONS

__all__ = ["Command", "Commands", "QueryCommand", "WholeNumber", "usage_error"]


class _Verbosity(click.Command):
    """A command with `-v` and `-q`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own options, then these two, then `--help`."""
        *params, help_option = super().get_params(ctx)
        return [*params, *OPTIONS, help_option]


class Command(_Verbosity):
    """A command that names all missing arguments at once, and whose summary is not cut off in the list of commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raises `click.UsageError` with the names of all missing ones."""
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter:  # click has read what is given before it misses something
            missing = [_name(param) for param in self.params if param.required and param.name not in ctx.params]
            raise click.UsageError(f"missing {', '.join(missing)}", ctx) from None
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click leaves it out if an option has no value
            raise

    def get_short_help_str(self, _limit: int = 45) -> str:
        """Return the whole summary, however long it is."""
        return super().get_short_help_str(limit=1_000)


class QueryCommand(Command):
    """A command whose argument may start with a dash: SQL may start with a comment, such as `-- all calls`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and take one that starts with a dash and has a blank for SQL, not for an option."""
        return super().parse_args(ctx, [f" {arg}" if arg[:1] == "-" and len(arg.split()) > 1 else arg for arg in args])


class Commands(_Verbosity, click.Group):
    """A group that lists its commands in the order of their definition."""

    command_class = Command

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of their definition."""
        return list(self.commands)


class WholeNumber(click.ParamType[int, Any]):
    """A whole number from `least` to `most`, in decimal digits only."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises `click.BadParameter` if the value is not one from `least` to `most`."""
        text = f"{value}"
        if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not self.least <= int(text) <= self.most:
            self.fail(f"must be a whole number from {self.least} to {self.most}, not {text[:60]!r}", param, ctx)
        return int(text)


def usage_error(error: click.UsageError) -> str:
    """Return one sentence that starts with the command and ends with where to read more."""
    message = error.message
    if isinstance(error, click.NoSuchOption | click.NoSuchCommand) and error.possibilities:
        message = f"{message.rstrip('.')} (did you mean {error.possibilities[0]!r}?)"
    elif isinstance(error, click.NoSuchCommand) and error.ctx and isinstance(error.ctx.command, click.Group):
        message = f"{message.rstrip('.')} (choose from {', '.join(error.ctx.command.list_commands(error.ctx))})"
    elif isinstance(error, click.BadParameter) and error.param:
        message = f"{_name(error.param)} {message}"
    command = error.ctx.command_path if error.ctx else PROGRAM
    message = " ".join(message.split()).rstrip(".")
    if not message[1:2].isupper():  # not the name of an argument, such as SHELL
        message = f"{message[:1].lower()}{message[1:]}"
    return f"{command}: {message}; see `{command} --help`"


def _name(param: click.Parameter) -> str:
    return param.human_readable_name if isinstance(param, click.Argument) else param.opts[0]
