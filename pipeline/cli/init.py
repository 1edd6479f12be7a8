"""`call-metrics init`: a `.env` file by questions and answers, checked with `doctor` afterwards.

Other lines of a file that exists stay as they are. Its mode is 600, since it holds the secret.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
from dotenv import dotenv_values, set_key

from pipeline.cli.outcome import ExitCode
from pipeline.errors import CallMetricsError, FixSettings, FixStorage
from pipeline.model import RETENTION
from pipeline.settings import Settings, parse_date

__all__ = ["ask"]

FILE = ".env"


def ask(folder: Path) -> ExitCode:
    """Ask for the settings, write them to `.env` in the folder, and examine them. Returns what `doctor` finds.

    An empty answer keeps what is there. Raises `FixSettings` if there is nobody to answer or an answer cannot be used,
    and `FixStorage` if the file cannot be written.
    """
    path = folder / FILE
    known = _read(path)
    print(f"Settings go to {path}. Press Enter to keep what is in brackets.\n")
    try:
        answers = {
            "STREAM_API_KEY": _answer("Key of your Stream app, from its dashboard", known.get("STREAM_API_KEY")),
            "STREAM_API_SECRET": _secret(known.get("STREAM_API_SECRET")),
            "CALL_METRICS_DATA": _answer(
                "Folder for the data, or s3://bucket/prefix", known.get("CALL_METRICS_DATA") or "data"
            ),
            "CALL_METRICS_START": _day(known.get("CALL_METRICS_START")),
        }
        if address := os.environ.get("STREAM_BASE_URL"):  # such as the emulator's: it is what is examined below
            answers["STREAM_BASE_URL"] = address
    except click.Abort:
        raise FixSettings(
            f"not all questions were answered, and {FILE} is as it was; run `call-metrics init` in a terminal, or "
            f"write {FILE} by hand: docs/reference/settings.md lists the settings"
        ) from None
    _write(path, {name: value for name, value in answers.items() if value != known.get(name)})
    print(f"\n{path} is written.\n")
    return _examine()


def _answer(question: str, known: str | None) -> str:
    return str(click.prompt(question, default=known or None, type=str)).strip()


def _secret(known: str | None) -> str:
    """Ask for the secret, which is not shown; an empty answer keeps the one that is there."""
    kept = " [keep it]" if known else ""
    answer = click.prompt(
        f"Its secret, which is not shown{kept}",
        default=known or None,
        show_default=False,
        hide_input=sys.stdin.isatty(),
        type=str,
    )
    return str(answer).strip()


def _day(known: str | None) -> str:
    """Ask for the first day, until the answer is one. What the source still knows is the default."""
    oldest = (datetime.now(UTC) - RETENTION).date() + timedelta(days=1)
    while True:
        answer = _answer("First day to keep (UTC)", known or f"{oldest}")
        try:
            return f"{_date(answer)}"
        except FixSettings as error:
            print(f"{error}")


def _date(answer: str) -> date:
    return parse_date("the first day", answer)


def _read(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
    except (OSError, UnicodeDecodeError) as error:
        raise FixStorage(f"{path} cannot be read ({error}); correct it, or move it away") from None


def _write(path: Path, answers: dict[str, str]) -> None:
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)  # before the secret is in it; it stays so
        for name, value in answers.items():
            set_key(path, name, value, quote_mode="auto")
    except OSError as error:
        raise FixStorage(f"{path} cannot be written ({error.strerror}); make it writable") from None


def _examine() -> ExitCode:
    from pipeline.cli.doctor import print_findings

    set_outside = [name for name in ("STREAM_API_KEY", "STREAM_API_SECRET", "CALL_METRICS_DATA") if name in os.environ]
    if set_outside:
        print(f"The environment sets {', '.join(set_outside)} too, and wins over {FILE}.")
    try:
        return print_findings(Settings.load())
    except CallMetricsError as error:
        raise FixSettings(f"{error}; or run `call-metrics init` again") from None
