"""What is open and who was told: one value, with what a look changes in it, and its file. Pure but for the file.

A cause is over when a look that could see its kind does not find it. An address has been told once a message was
accepted; it is written down after each message. So a process that is killed in between tells at most once more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.alerts.causes import KINDS, Cause, Kind
from pipeline.settings import Secret
from pipeline.storage import StoredFile

__all__ = ["Look", "Remembered", "State", "read_state", "write_state"]

log = logging.getLogger(__name__)

CALM: Mapping[Kind, timedelta] = {"release": timedelta(days=3)}
"""How long a cause must be away before it is over: a verdict near its limit comes and goes with each day's data."""

KEPT = timedelta(days=30)
"""How long a cause that is over is remembered: past ones, which are found again by each look for some days, and those
whose end an address has not accepted yet."""


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        at: when it was made.
        causes: what was found.
        kinds: what could be looked at. Nothing is known about other kinds: what is open stays open.
        endings: how causes ended that are over, in a sentence, by key.
        unseen: sentences about what could not be looked at.
    """

    at: datetime
    causes: tuple[Cause, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    endings: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remembered:
    """A cause, when it began and ended (and how), and the tags of the addresses that were told of both."""

    cause: Cause
    since: datetime
    told: frozenset[str] = frozenset()
    away_since: datetime | None = None
    over_at: datetime | None = None
    told_over: frozenset[str] = frozenset()
    ending: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.over_at is None


@dataclass(frozen=True)
class State:
    """Everything that is remembered, by key. `salt` is part of the tags of addresses; `looked` has when kinds were
    last looked at.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(8))
    causes: Mapping[str, Remembered] = field(default_factory=dict)
    looked: Mapping[Kind, datetime] = field(default_factory=dict)

    def known(self, kind: Kind) -> dict[str, Cause]:
        """Return the causes of a kind that are open, or past and remembered, by key."""
        return {
            key: item.cause
            for key, item in self.causes.items()
            if item.cause.kind == kind and (item.is_open or item.cause.is_past)
        }

    def after(self, look: Look) -> State:
        """Return what is remembered after a look. What an older look says about a kind does not count."""
        fresh = {kind for kind in look.kinds if look.at >= self.looked.get(kind, look.at)}
        causes = dict(self.causes)
        for cause in look.causes:
            if cause.kind in fresh or cause.kind not in look.kinds:  # events come without having looked
                causes[cause.key] = _seen(causes.get(cause.key), cause, look.at)
        found = {cause.key for cause in look.causes}
        for key, item in self.causes.items():
            if key not in found and item.is_open and item.cause.kind in fresh:
                causes[key] = _unseen(item, look.at, look.endings.get(key))
        return State(self.salt, causes, {**self.looked, **dict.fromkeys(fresh, look.at)})

    def tag(self, address: Secret) -> str:
        """Return what stands for an address: four digits of a salted hash, from which nobody learns the address."""
        return hashlib.sha256(f"{self.salt} {address.reveal()}".encode()).hexdigest()[:4]

    def owed(self, tag: str) -> Iterator[tuple[Remembered, bool]]:
        """Yield what an address must still be told, the oldest first, and whether that is the end of a cause."""
        for item in sorted(self.causes.values(), key=lambda item: item.since):
            if item.is_open or item.cause.is_past:
                if tag not in item.told:
                    yield item, False
            elif tag not in item.told_over:
                yield item, True

    def with_told(self, key: str, tag: str, *, is_end: bool) -> State:
        """Return what is remembered once an address has accepted a message."""
        item = self.causes[key]
        told = replace(item, told_over=item.told_over | {tag}) if is_end else replace(item, told=item.told | {tag})
        return replace(self, causes={**self.causes, key: told})

    def without_settled(self, tags: Collection[str], now: datetime) -> State:
        """Return it without what need not be remembered: over, and told to everyone, or long ago."""
        kept = {key: item for key, item in self.causes.items() if not _is_settled(item, tags, now)}
        return replace(self, causes=kept)


def _seen(before: Remembered | None, cause: Cause, at: datetime) -> Remembered:
    over_at = at if cause.is_past else None
    if before is None or (not cause.is_past and before.told_over):  # it is new, or it came back after its end was told
        return Remembered(cause, at, over_at=over_at)
    return replace(before, cause=cause, away_since=None, over_at=before.over_at if cause.is_past else None, ending=None)


def _unseen(item: Remembered, at: datetime, ending: str | None) -> Remembered:
    away_since = item.away_since or at
    is_over = at - away_since >= CALM.get(item.cause.kind, timedelta(0))
    return replace(item, away_since=away_since, over_at=away_since if is_over else None, ending=ending)


def _is_settled(item: Remembered, tags: Collection[str], now: datetime) -> bool:
    if item.over_at is None:
        return False
    if now - item.over_at > KEPT:
        return True
    return not item.cause.is_past and item.told_over.issuperset(tags)


def read_state(file: StoredFile) -> State:
    """Return what is remembered; nothing if there is no file, or none of ours. Raises `OSError` and `FixStorage`."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return State()
    try:
        stored = json.loads(content)
        items = [_read_item(item) for item in stored["causes"]]
        looked = {kind: datetime.fromisoformat(at) for kind, at in stored["looked"].items() if kind in KINDS}
        return State(str(stored["salt"]), {item.cause.key: item for item in items}, looked)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("%s cannot be used and is written anew; what is open is told once more", file)
        return State()


def write_state(file: StoredFile, state: State) -> None:
    """Write what is remembered. Raises `OSError` and `FixStorage`."""
    stored = {
        "salt": state.salt,
        "looked": state.looked,
        "causes": [_written(vars(item) | {"cause": vars(item.cause)}) for item in state.causes.values()],
    }
    file.replace(json.dumps(stored, indent=1, default=_as_text).encode())


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _written(value) if isinstance(value, dict) else value for name, value in values.items()}


def _as_text(value: object) -> Any:
    return value.isoformat() if isinstance(value, datetime) else sorted(value)  # type: ignore[call-overload]


def _read_item(stored: Mapping[str, Any]) -> Remembered:
    cause = {name: value for name, value in stored["cause"].items() if name in Cause.__dataclass_fields__}
    if cause["kind"] not in KINDS:
        raise ValueError
    instants = {
        name: datetime.fromisoformat(stored[name]) if stored[name] else None for name in ("away_since", "over_at")
    }
    return Remembered(
        cause=Cause(**cause | {"subjects": frozenset(cause["subjects"])}),
        since=datetime.fromisoformat(stored["since"]),
        told=frozenset(stored["told"]),
        told_over=frozenset(stored["told_over"]),
        ending=stored["ending"],
        **instants,
    )
