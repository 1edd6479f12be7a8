"""Tells what is new and what is over: one process at a time, each message once, each written down as soon as it is out.

What a run calls when it ends is here too. It never fails a run: whatever is wrong with alerts is a line in the log, and
a message that was not accepted is sent at the next occasion.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pipeline.alerts.causes import KINDS, Kind, failed_run, runs_left, with_earlier
from pipeline.alerts.facts import look
from pipeline.alerts.messages import Message, message_about, trial_message
from pipeline.alerts.send import Address, addresses
from pipeline.alerts.state import Look, Remembered, State, read_state, write_state
from pipeline.errors import CallMetricsError, FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.settings import Settings

__all__ = ["Told", "preview", "run_ended", "run_failed", "send_trial", "tell", "tell_quietly"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What telling did.

    Attributes:
        messages: what was sent to at least one address.
        failures: sentences about addresses that did not accept a message. They are tried again at the next occasion.
        unseen: sentences about what could not be looked at.
        open: what lasts, the oldest first.
    """

    messages: Sequence[Message]
    failures: Sequence[str]
    unseen: Sequence[str]
    open: Sequence[Remembered]


def tell(flow: Flow, now: datetime | None = None, kinds: Iterable[Kind] = KINDS) -> Told:
    """Look, and tell every address what is new to it or over.

    Raises `FixSettings` if the library is not installed, and `FixStorage` if the file cannot be used.
    """
    now = now or datetime.now(UTC)
    to = addresses(flow.settings.alert_addresses)
    with _storage_errors(flow):
        before = read_state(flow.alerts_file)
    found = look(flow, before, now, kinds)  # it may take a minute, in which others can tell
    return _tell(flow, to, now, lambda _: found)


def preview(flow: Flow, now: datetime | None = None) -> tuple[list[Message], Told]:
    """Look, and return what would be told to someone, without telling or noting anything. Raises `FixStorage`."""
    now = now or datetime.now(UTC)
    with _storage_errors(flow):
        before = read_state(flow.alerts_file)
    found = look(flow, before, now)
    state = before.after(found)
    tags = [state.tag(secret) for secret in flow.settings.alert_addresses] or ["none"]
    owed = {(item.cause.key, is_end): item for tag in tags for item, is_end in state.owed(tag)}
    messages = [message_about(item, flow.settings.app, is_end=is_end) for (_, is_end), item in owed.items()]
    return messages, Told((), (), found.unseen, _open(state))


def send_trial(settings: Settings) -> list[str]:
    """Send a test message to every address. Returns sentences about those that did not accept it.

    Raises `FixSettings`.
    """
    message = trial_message(settings.app)
    return [problem for address in addresses(settings.alert_addresses) if (problem := address.send(message))]


def tell_quietly(flow: Flow, kinds: Iterable[Kind] = KINDS) -> Told | None:
    """Tell as `tell` does, if alerts are on. Returns None if they are off or it cannot be done; the log says why."""
    if flow.settings.alerts:
        with _quiet():
            told = tell(flow, kinds=kinds)
            _log_failures(told)
            return told
    return None


def run_failed(flow: Flow, subject: str, sentence: str) -> None:
    """Tell that a run failed, if alerts are on. `subject` is its day, or its job if it has none.

    If nothing can be remembered (the disk may be full), it is told all the same, and once more by the next failure.
    """
    if not flow.settings.alerts:
        return
    now = datetime.now(UTC)
    cause = failed_run(subject, sentence)

    def failure(state: State) -> Look:
        return Look(now, (with_earlier(cause, state.known("run")),))

    with _quiet():
        to = addresses(flow.settings.alert_addresses)
        try:
            told = _tell(flow, to, now, failure)
        except FixStorage as error:
            log.warning("what was told cannot be remembered: %s", error)
            message = message_about(Remembered(cause, now), flow.settings.app, is_end=False)
            told = Told((), [problem for address in to if (problem := address.send(message))], (), ())
        _log_failures(told)


def run_ended(flow: Flow, subjects: Collection[str | date]) -> None:
    """Tell that failed runs are over, if alerts are on. `subjects` are days and jobs whose runs have ended well."""
    if not flow.settings.alerts:
        return
    now = datetime.now(UTC)
    settled = {f"{subject}" for subject in subjects}

    def what_is_left(state: State) -> Look:
        return Look(now, tuple(runs_left(state.known("run").values(), settled)), frozenset({"run"}))

    with _quiet(), _storage_errors(flow):
        known = read_state(flow.alerts_file).known("run").values()  # without a turn: mostly there is nothing to tell
        if any(cause.subjects & settled for cause in known):
            _log_failures(_tell(flow, addresses(flow.settings.alert_addresses), now, what_is_left))


def _tell(flow: Flow, to: Sequence[Address], now: datetime, look_at: Callable[[State], Look]) -> Told:
    with _storage_errors(flow), flow.alerting() as file:
        before = read_state(file)
        found = look_at(before)
        state = before.after(found)
        if state != before:
            write_state(file, state)
        sent: dict[tuple[str, bool], Message] = {}
        failures = []
        for address in to:
            tag = state.tag(address.secret)
            for item, is_end in list(state.owed(tag)):
                message = message_about(item, flow.settings.app, is_end=is_end)
                if problem := address.send(message):
                    failures.append(problem)
                    break  # it would not accept the others either, and each takes seconds
                state = state.with_told(item.cause.key, tag, is_end=is_end)
                write_state(file, state)
                sent[item.cause.key, is_end] = message
        settled = state.without_settled({state.tag(address.secret) for address in to}, now)
        if settled != state:
            write_state(file, settled)
    return Told(list(sent.values()), failures, found.unseen, _open(settled))


def _open(state: State) -> list[Remembered]:
    return sorted((item for item in state.causes.values() if item.is_open), key=lambda item: item.since)


def _log_failures(told: Told) -> None:
    for sentence in (*told.failures, *told.unseen):
        log.warning("%s", sentence)


@contextlib.contextmanager
def _storage_errors(flow: Flow) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FixStorage(
            f"{flow.alerts_file} cannot be read or written ({error.strerror or error}); fix it and run again"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within the block, what is wrong with alerts is logged and never raised."""
    try:
        yield
    except FixSettings as error:
        log.warning("%s", error)
    except CallMetricsError as error:
        log.warning("alerts could not be told: %s", error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has done its work
        log.warning("alerts could not be told (%s)", type(error).__name__)
