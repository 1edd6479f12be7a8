"""Series: the data points of a track, either drawn from a hash (``Signal``) or written out by hand (``Points``).

Here: what a track measures at which instant, so that any window of a track agrees with any other and none is kept in
memory. Not here: which part of it may be seen yet (``visibility``), and how it looks as JSON (``answers``).

Both kinds answer ``columns(key, origin_us, since_us, until_us, per_second)``: times are integers in ``per_second``
ticks since the epoch (1 for seconds, 10**6 for microseconds), both bounds included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import shake_128
from typing import Final

from .instants import SECOND_US, micros

METRICS: Final = ("bitrate", "framerate", "resolution_width", "resolution_height")
"""The four metrics of a track. Audio has only the first."""

Value = int | float | None
Column = tuple[str, list[int], list[Value]]
"""One metric: its name, its times, its values, the latter two of equal length."""

_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Level:
    """One state a track can be in.

    Attributes:
        bitrate: mean, in bits per second.
        framerate: mean, in frames per second; None for audio.
        width: in pixels; None for audio.
        height: in pixels; None for audio.
        weight: how often the track is in this state, relative to its other levels.
    """

    bitrate: int
    framerate: float | None = None
    width: int | None = None
    height: int | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of a track that is scripted rather than drawn.

    Attributes:
        starts: seconds after the track's first instant, included.
        ends: seconds after the track's first instant, excluded.
        level: index into the signal's levels; None for a stretch without data points.
    """

    starts: int
    ends: int
    level: int | None


@dataclass(frozen=True, slots=True)
class Signal:
    """A series drawn from a hash of the world's seed, the ids and the track.

    Points stand on whole seconds: ``offset_seconds`` after the first whole second of the track, then every
    ``step_seconds``. The state changes only every ``hold_points`` points, so values come in plausible stretches.

    Attributes:
        levels: the states; a track whose first level has a frame rate measures all four metrics, else bitrate alone.
        step_seconds: seconds between points.
        offset_seconds: seconds from the first whole second of the track to its first point.
        hold_points: points a state lasts.
        spread: largest share by which a bitrate departs from its level's mean.
        gap_share: share (0 to 1) of the stretches that have no points at all.
        null_share: share (0 to 1) of the bitrates and frame rates that are null.
        episodes: scripted stretches; the first that covers an instant decides.
    """

    levels: tuple[Level, ...]
    step_seconds: int = 5
    offset_seconds: int = 1
    hold_points: int = 12
    spread: float = 0.2
    gap_share: float = 0.0
    null_share: float = 0.0
    episodes: tuple[Episode, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics this signal measures."""
        return METRICS if self.levels[0].framerate is not None else METRICS[:1]

    def columns(self, key: bytes, origin_us: int, since_us: int, until_us: int, per_second: int) -> Iterator[Column]:
        """The columns of the points within [since, until], both included."""
        first = -(-origin_us // SECOND_US) + self.offset_seconds
        step_us = self.step_seconds * SECOND_US
        low = max(0, -((first * SECOND_US - since_us) // step_us))
        high = (until_us - first * SECOND_US) // step_us + 1
        video = self.levels[0].framerate is not None
        times: list[int] = []
        bitrates: list[Value] = []
        framerates: list[Value] = []
        widths: list[Value] = []
        heights: list[Value] = []
        if low < high:
            states = _draw(key, b"state", low // self.hold_points, (high - 1) // self.hold_points + 1)
            bitrate_noise = _draw(key, b"bitrate", low, high)
            framerate_noise = _draw(key, b"framerate", low, high) if video else b""
            null_limit = int(self.null_share * 256)
            bitrate_nulls = _draw(key, b"bitrate-null", low, high) if null_limit else b""
            framerate_nulls = _draw(key, b"framerate-null", low, high) if null_limit else b""
            table = _state_table(tuple(level.weight for level in self.levels), self.gap_share)
            tick, origin = self.step_seconds * per_second, first * per_second
            for begin, end, state in self._stretches(low, high, states, table):
                if state is None:
                    continue
                level = self.levels[state]
                times.extend(range(origin + begin * tick, origin + end * tick, tick))
                here = slice(begin - low, end - low)
                scatter = _scatter(level.bitrate, self.spread, 0)
                bitrates.extend(_values(scatter, bitrate_noise[here], bitrate_nulls[here], null_limit))
                if video:
                    scatter = _scatter(level.framerate or 0.0, 0.08, 1)
                    framerates.extend(_values(scatter, framerate_noise[here], framerate_nulls[here], null_limit))
                    widths.extend([level.width] * (end - begin))
                    heights.extend([level.height] * (end - begin))
        yield "bitrate", times, bitrates
        if video:
            yield "framerate", times, framerates
            yield "resolution_width", times, widths
            yield "resolution_height", times, heights

    def _stretches(
        self, low: int, high: int, states: bytes, table: tuple[int | None, ...]
    ) -> Iterator[tuple[int, int, int | None]]:
        """(first point, point after the last, state) over [low, high), in order."""
        hold, first_block = self.hold_points, low // self.hold_points
        edges = {edge for episode in self.episodes for edge in (episode.starts, episode.ends)}
        cuts = sorted({-((self.offset_seconds - edge) // self.step_seconds) for edge in edges})
        for block in range(first_block, (high - 1) // hold + 1):
            begin, end = max(low, block * hold), min(high, (block + 1) * hold)
            drawn = table[states[block - first_block]]
            for cut in (*(one for one in cuts if begin < one < end), end):
                yield begin, cut, self._state_at(begin, drawn)
                begin = cut

    def _state_at(self, point: int, drawn: int | None) -> int | None:
        """The state at a point: an episode's where one covers it, else the one drawn for its stretch."""
        after = self.offset_seconds + point * self.step_seconds
        for episode in self.episodes:
            if episode.starts <= after < episode.ends:
                return episode.level
        return drawn


@dataclass(frozen=True, slots=True)
class Points:
    """A series written out by hand, for tests that work their expectations out by hand.

    Each metric is a tuple of (instant with a zone, value or None for null); None for the whole metric leaves it out
    of the answer, as on audio.
    """

    bitrate: tuple[tuple[datetime, Value], ...] | None = None
    framerate: tuple[tuple[datetime, Value], ...] | None = None
    resolution_width: tuple[tuple[datetime, Value], ...] | None = None
    resolution_height: tuple[tuple[datetime, Value], ...] | None = None

    @classmethod
    def every(
        cls,
        seconds: float,
        start: datetime,
        *,
        bitrate: Sequence[Value] | None = None,
        framerate: Sequence[Value] | None = None,
        resolution_width: Sequence[Value] | None = None,
        resolution_height: Sequence[Value] | None = None,
    ) -> Points:
        """Points at even distances from ``start``, one value a step."""

        def spaced(values: Sequence[Value] | None) -> tuple[tuple[datetime, Value], ...] | None:
            if values is None:
                return None
            return tuple((start + timedelta(seconds=seconds * index), value) for index, value in enumerate(values))

        return cls(spaced(bitrate), spaced(framerate), spaced(resolution_width), spaced(resolution_height))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics this series measures."""
        return tuple(name for name in METRICS if getattr(self, name) is not None)

    def columns(self, _key: bytes, _origin_us: int, since_us: int, until_us: int, per_second: int) -> Iterator[Column]:
        """The columns of the points within [since, until], both included."""
        for name in self.metrics:
            placed = [(micros(at), value) for at, value in getattr(self, name)]
            kept = [(at, value) for at, value in placed if since_us <= at <= until_us]
            yield name, [at * per_second // SECOND_US for at, _ in kept], [value for _, value in kept]


Series = Signal | Points


def _draw(key: bytes, label: bytes, low: int, high: int) -> bytes:
    """Bytes ``low`` to ``high`` of an endless random string that belongs to the key and the label."""
    chunks = range(low // _CHUNK, (high - 1) // _CHUNK + 1)
    drawn = b"".join(shake_128(key + label + chunk.to_bytes(8, "big")).digest(_CHUNK) for chunk in chunks)
    start = chunks.start * _CHUNK
    return drawn[low - start : high - start]


def _values(scatter: tuple[Value, ...], noise: bytes, nulls: bytes, null_limit: int) -> list[Value]:
    """One value a byte; null where the other byte, if there is one, lies under the limit."""
    if not nulls:
        return [scatter[byte] for byte in noise]
    return [None if null < null_limit else scatter[byte] for byte, null in zip(noise, nulls, strict=True)]


@lru_cache(maxsize=1024)
def _scatter(mean: float, spread: float, digits: int) -> tuple[Value, ...]:
    """256 values around a mean, most of them near it, one for each byte that can be drawn."""
    values = (max(0.0, mean * (1 + spread * ((byte - 127.5) / 127.5) ** 3)) for byte in range(256))
    return tuple(round(value, digits) if digits else round(value) for value in values)


@lru_cache(maxsize=256)
def _state_table(weights: tuple[int, ...], gap_share: float) -> tuple[int | None, ...]:
    """For each byte that can be drawn the index of a level, or None for a gap."""
    gaps = round(256 * gap_share)
    total, left = sum(weights), 256 - gaps
    table: list[int | None] = [None] * gaps
    reached = 0
    for index, weight in enumerate(weights):
        reached += weight
        table.extend([index] * (gaps + left * reached // total - len(table)))
    return tuple(table)
