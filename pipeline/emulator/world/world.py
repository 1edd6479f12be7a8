"""A world: a set of call sessions, and the seed from which their series are drawn. An emulator serves one.

Here are the rules that any world must keep. The ready-made worlds are in `demo`, `odd` and `uniform`, and the rows that
a faultless ingester makes of a world are in `expected_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from .specs import CallSpec, StaySpec, TrackSpec


@dataclass(frozen=True)
class World:
    """Everything that happened: the calls, and the seed from which their `Signal` series are drawn.

    Attributes:
        calls: the call sessions; their ids must be unique.
        seed: any integer; worlds that differ only in the seed differ only in the drawn values.

    Raises:
        ValueError: two things have the same ids, or a datetime has no time zone.
    """

    calls: tuple[CallSpec, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        _check_unique("calls of this world", (call.ids for call in self.calls))
        for call in self.calls:
            _check_zones(call)
            _check_unique(f"stays of {call.cid}", (stay.ids for stay in call.participants))
            for stay in call.participants:
                _check_unique(f"tracks of {stay.user_session_id}", (track.ids for track in stay.tracks))

    def __add__(self, other: World) -> World:
        """Return a world with the calls of both, drawn from the seed of this one."""
        return replace(self, calls=self.calls + other.calls)

    def series_key(self, call: CallSpec, stay: StaySpec, track: TrackSpec) -> bytes:
        """Return the key from which the values of a track are drawn: the seed and all ids."""
        return "\x1f".join((str(self.seed), *call.ids, *stay.ids, *track.ids)).encode()


def _check_unique(what: str, ids: Iterable[tuple[str, ...]]) -> None:
    """Refuse two things with the same ids: the API could not distinguish them."""
    seen: set[tuple[str, ...]] = set()
    for one in ids:
        if one in seen:
            raise ValueError(f"two {what} have the same ids: {one}")
        seen.add(one)


def _check_zones(call: CallSpec) -> None:
    """Refuse a datetime without a time zone: it would mean something else on every machine."""
    if any(value.tzinfo is None for value in _datetimes(call)):
        raise ValueError(f"every datetime needs a time zone, and one of call {call.cid} has none")


def _datetimes(call: CallSpec) -> Iterator[datetime]:
    """Yield every datetime of the call's spec, except those of points."""
    given = [call.started_at, call.ended_at]
    for stay in call.participants:
        given += (stay.joined_at, stay.left_at)
        given += (rating.at for rating in stay.ratings)
        for track in stay.tracks:
            given += (track.since, track.until, track.late_from)
            given += (warning.at for warning in track.warnings)
    yield from (value for value in given if value is not None)
