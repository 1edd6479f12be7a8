"""Worlds: a set of calls and the seed their series are drawn from; what an emulator serves.

Here: ``World`` and its ready-made kinds by name. Not here: how those are put together (``world_uniform``,
``world_odd``, ``world_demo``) and the rows that prove an ingester right (``truth``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from .specs import CallSpec, StaySpec, TrackSpec


@dataclass(frozen=True)
class World:
    """What happened, whole: the calls, and the seed from which their ``Signal`` series are drawn.

    Attributes:
        calls: the call sessions; ids must be unique.
        seed: any integer; worlds that differ only in it differ only in the drawn values.
    """

    calls: tuple[CallSpec, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        _check_unique("calls of this world", (call.ids for call in self.calls))
        for call in self.calls:
            _check_zones(call)
            _check_unique(f"stays of {call.cid}", ((stay.user_id, stay.user_session_id) for stay in call.participants))
            for stay in call.participants:
                ids = ((track.track_id, track.track_type) for track in stay.tracks)
                _check_unique(f"tracks of {stay.user_session_id}", ids)

    def __add__(self, other: World) -> World:
        """Both worlds' calls, drawn from this one's seed."""
        return replace(self, calls=self.calls + other.calls)

    def truth(
        self, now: datetime, *, tables: Iterable[str] | None = None, remembered: bool = False, tick_us: int = 1
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows an ingester should hold at ``now``, by table (see ``truth.truth``)."""
        from .truth import TABLES, truth

        return truth(self, now, tables=TABLES if tables is None else tables, remembered=remembered, tick_us=tick_us)

    def series_key(self, call: CallSpec, stay: StaySpec, track: TrackSpec) -> bytes:
        """What a track's values are drawn from."""
        parts = (*call.ids, stay.user_id, stay.user_session_id, track.track_id, track.track_type)
        return "\x1f".join((str(self.seed), *parts)).encode()

    @classmethod
    def uniform(
        cls, day: date, calls: int = 80, people: int = 10, minutes: float = 55, step_seconds: int = 5, seed: int = 0
    ) -> World:
        """Equal calls of equal people, each with a camera and a microphone: for benchmarks (see ``world_uniform``)."""
        from .world_uniform import uniform_calls

        return cls(tuple(uniform_calls(day, calls, people, minutes, step_seconds)), seed)

    @classmethod
    def demo(cls, today: date, days: int = 3, seed: int = 0) -> World:
        """Realistic calls on ``days`` days before ``today`` and on ``today`` itself (see ``world_demo``)."""
        from .world_demo import demo_calls

        return cls(tuple(demo_calls(today - timedelta(days=days), days + 1, seed)), seed)

    @classmethod
    def odd(cls, first_day: date, days: int = 2, seed: int = 0, scale: float = 1.0) -> World:
        """Everything unusual that the documentation allows (see ``world_odd``)."""
        from .world_odd import odd_calls

        return cls(tuple(odd_calls(first_day, days, seed, scale)), seed)


def _check_unique(what: str, ids: Iterable[tuple[str, ...]]) -> None:
    """Refuse two things with the same ids: the API could not tell them apart."""
    seen: set[tuple[str, ...]] = set()
    for one in ids:
        if one in seen:
            raise ValueError(f"two {what} have the same ids: {one}")
        seen.add(one)


def _check_zones(call: CallSpec) -> None:
    """Refuse an instant without a zone: it would mean something else on every machine."""
    if any(instant.tzinfo is None for instant in _instants(call)):
        raise ValueError(f"every instant needs a time zone, and one of call {call.cid} has none")


def _instants(call: CallSpec) -> Iterable[datetime]:
    """Every instant the call's spec holds, but for points."""
    yield call.started_at
    for stay in call.participants:
        for track in stay.tracks:
            yield from (at for at in (track.since, track.until, track.late_from) if at is not None)
            yield from (warning.at for warning in track.warnings if warning.at is not None)
        yield from (at for at in (stay.joined_at, stay.left_at) if at is not None)
    if call.ended_at is not None:
        yield call.ended_at
