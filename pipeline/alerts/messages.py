"""What a cause is in words: one message when it begins, one when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.alerts.state import Remembered

__all__ = ["Message", "message_about", "trial_message"]


@dataclass(frozen=True)
class Message:
    """A message as every service takes it: a title, plain text, and what it is, which some show as a colour."""

    title: str
    text: str
    kind: Literal["failure", "warning", "success", "info"]


def message_about(item: Remembered, app: str | None, *, is_end: bool) -> Message:
    """Return the message about the beginning or the end of a cause, of an app if it has a name."""
    cause = item.cause
    if not is_end:
        kind: Literal["failure", "warning"] = "failure" if cause.is_failure else "warning"
        return Message(f"{_name(app)}: {cause.title}", f"{cause.text}\n\nWhat to do: {cause.remedy}", kind)
    ended = f" until {_minute(item.over_at)}" if item.over_at else ""
    how = item.ending or "Nothing needs to be done."
    text = f"It lasted from {_minute(item.since)}{ended}. {how}\n\nIt was: {cause.text}"
    return Message(f"{_name(app)}: over: {cause.title}", text, "success")


def trial_message(app: str | None) -> Message:
    """Return a message that shows that messages arrive."""
    return Message(f"{_name(app)}: test", "This is a test. Alerts of Call Metrics arrive here.", "info")


def _name(app: str | None) -> str:
    return f"Call Metrics ({app})" if app else "Call Metrics"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
