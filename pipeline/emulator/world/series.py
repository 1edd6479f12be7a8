"""The data points of a track, either drawn from a hash (`Signal`) or written out by hand (`Points`).

A series gives the values of any window directly, so windows of a track always agree and no series is kept in memory.
Which part is visible yet is decided in `visibility`, and the JSON is built in `pipeline.emulator.http`.

Both kinds have `columns(key, origin_us, since_us, until_us, per_second)`. Its bounds are in microseconds since the
epoch, both included. The times in its columns are integers in ticks since the epoch, `per_second` ticks to a second (1
for seconds, 10**6 for microseconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import shake_128
from typing import Final

from .timestamps import SECOND_US, to_micros

METRICS: Final = ("bitrate", "framerate", "resolution_width", "resolution_height")
"""The four metrics of a track. Audio only has the first."""

Value = int | float | None
Column = tuple[str, list[int], list[Value]]
"""One metric: its name, its times, and as many values."""

FRAMERATE_SPREAD: Final = 0.08
"""Largest deviation of a frame rate from the mean of its level, as a share of that mean."""

_CHUNK: Final = 1024
"""Bytes that one hash yields."""


@dataclass(frozen=True, slots=True)
class Level:
    """One quality at which a track can be.

    Attributes:
        bitrate: mean, in bits per second.
        framerate: mean, in frames per second; None for audio.
        width: in pixels; None for audio.
        height: in pixels; None for audio.
        weight: how often the track is on this level, relative to its other levels.
    """

    bitrate: int
    framerate: float | None = None
    width: int | None = None
    height: int | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Episode:
    """A part of a track that is scripted rather than drawn.

    Attributes:
        starts: seconds after the start of the track, included.
        ends: seconds after the start of the track, excluded.
        level: index into the signal's levels; None for a part without data points.
    """

    starts: int
    ends: int
    level: int | None


@dataclass(frozen=True, slots=True)
class Signal:
    """A series drawn from a hash of the world's seed, the ids and the track.

    Points are on whole seconds: the first is `offset_seconds` after the first whole second of the track, and then one
    follows every `step_seconds`. The level changes only every `hold_points` points, so a track stays on a level for a
    plausible time.

    Attributes:
        levels: its levels. The track has all four metrics if the first level has a frame rate, else only the bitrate.
        step_seconds: seconds between points.
        offset_seconds: seconds from the first whole second of the track to its first point.
        hold_points: points for which a drawn level lasts.
        spread: largest deviation of a bitrate from the mean of its level, as a share of that mean.
        gap_share: share (0 to 1) of the track that has no points, in runs of `hold_points`.
        null_share: share (0 to 1) of the bitrates and frame rates that are null.
        episodes: scripted parts; if several cover an instant, the first one counts.
    """

    levels: tuple[Level, ...]
    step_seconds: int = 5
    offset_seconds: int = 1
    hold_points: int = 12
    spread: float = 0.2
    gap_share: float = 0.0
    null_share: float = 0.0
    episodes: tuple[Episode, ...] = ()

    def columns(self, key: bytes, origin_us: int, since_us: int, until_us: int, per_second: int) -> Iterator[Column]:
        """Yield the columns of the points within [since, until], both included."""
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
            level_bytes = _draw(key, b"state", low // self.hold_points, (high - 1) // self.hold_points + 1)
            bitrate_noise = _draw(key, b"bitrate", low, high)
            framerate_noise = _draw(key, b"framerate", low, high) if video else b""
            null_limit = int(self.null_share * 256)
            bitrate_nulls = _draw(key, b"bitrate-null", low, high) if null_limit else b""
            framerate_nulls = _draw(key, b"framerate-null", low, high) if null_limit else b""
            table = _level_table(tuple(level.weight for level in self.levels), self.gap_share)
            tick, origin = self.step_seconds * per_second, first * per_second
            for begin, end, index in self._runs(low, high, level_bytes, table):
                if index is None:
                    continue
                level = self.levels[index]
                times.extend(range(origin + begin * tick, origin + end * tick, tick))
                here = slice(begin - low, end - low)
                scatter = _scatter(level.bitrate, self.spread, 0)
                bitrates.extend(_values(scatter, bitrate_noise[here], bitrate_nulls[here], null_limit))
                if video:
                    scatter = _scatter(level.framerate or 0.0, FRAMERATE_SPREAD, 1)
                    framerates.extend(_values(scatter, framerate_noise[here], framerate_nulls[here], null_limit))
                    widths.extend([level.width] * (end - begin))
                    heights.extend([level.height] * (end - begin))
        yield "bitrate", times, bitrates
        if video:
            yield "framerate", times, framerates
            yield "resolution_width", times, widths
            yield "resolution_height", times, heights

    def _runs(
        self, low: int, high: int, level_bytes: bytes, table: tuple[int | None, ...]
    ) -> Iterator[tuple[int, int, int | None]]:
        """Yield runs of points on one level over [low, high), in order: (first point, point after the last, index)."""
        hold, first_block = self.hold_points, low // self.hold_points
        edges = {edge for episode in self.episodes for edge in (episode.starts, episode.ends)}
        cuts = sorted({-((self.offset_seconds - edge) // self.step_seconds) for edge in edges})
        for block in range(first_block, (high - 1) // hold + 1):
            begin, end = max(low, block * hold), min(high, (block + 1) * hold)
            drawn = table[level_bytes[block - first_block]]
            if not cuts:
                yield begin, end, drawn
                continue
            for cut in (*(one for one in cuts if begin < one < end), end):
                yield begin, cut, self._level_at(begin, drawn)
                begin = cut

    def _level_at(self, point: int, drawn: int | None) -> int | None:
        """Return the index of the level at a point: that of the first episode that covers it, else the drawn one."""
        after = self.offset_seconds + point * self.step_seconds
        for episode in self.episodes:
            if episode.starts <= after < episode.ends:
                return episode.level
        return drawn


@dataclass(frozen=True, slots=True)
class Points:
    """A series written out by hand, for tests with expectations written by hand.

    Each metric is a tuple of (datetime with a zone, value or None for null). None for the whole metric leaves it out of
    the JSON, as for audio.
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
        """Return points every so many seconds from `start`, one for each value."""

        def spaced(values: Sequence[Value] | None) -> tuple[tuple[datetime, Value], ...] | None:
            if values is None:
                return None
            return tuple((start + timedelta(seconds=seconds * index), value) for index, value in enumerate(values))

        return cls(spaced(bitrate), spaced(framerate), spaced(resolution_width), spaced(resolution_height))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of this series."""
        return tuple(name for name in METRICS if getattr(self, name) is not None)

    def columns(self, _key: bytes, _origin_us: int, since_us: int, until_us: int, per_second: int) -> Iterator[Column]:
        """Yield the columns of the points within [since, until], both included."""
        for name in self.metrics:
            placed = [(to_micros(at), value) for at, value in getattr(self, name)]
            kept = [(at, value) for at, value in placed if since_us <= at <= until_us]
            yield name, [at * per_second // SECOND_US for at, _ in kept], [value for _, value in kept]


Series = Signal | Points


def _draw(key: bytes, label: bytes, low: int, high: int) -> bytes:
    """Return bytes `low` to `high` (excluded) of the endless random string of a key and a label."""
    chunks = range(low // _CHUNK, (high - 1) // _CHUNK + 1)
    drawn = b"".join(shake_128(key + label + chunk.to_bytes(8, "big")).digest(_CHUNK) for chunk in chunks)
    start = chunks.start * _CHUNK
    return drawn[low - start : high - start]


def _values(scatter: tuple[Value, ...], noise: bytes, nulls: bytes, null_limit: int) -> list[Value]:
    """Return one value for each byte of noise; null if the byte in `nulls`, if any, is under the limit."""
    if not nulls:
        return [scatter[byte] for byte in noise]
    return [None if null < null_limit else scatter[byte] for byte, null in zip(noise, nulls, strict=True)]


@lru_cache(maxsize=1024)
def _scatter(mean: float, spread: float, digits: int) -> tuple[Value, ...]:
    """Return 256 values around a mean, most of them near it, one for each byte that can be drawn."""
    values = (max(0.0, mean * (1 + spread * ((byte - 127.5) / 127.5) ** 3)) for byte in range(256))
    return tuple(round(value, digits) if digits else round(value) for value in values)


@lru_cache(maxsize=256)
def _level_table(weights: tuple[int, ...], gap_share: float) -> tuple[int | None, ...]:
    """Return the index of a level, or None for a gap, for each byte that can be drawn."""
    gaps = round(256 * gap_share)
    total, left = sum(weights), 256 - gaps
    table: list[int | None] = [None] * gaps
    reached = 0
    for index, weight in enumerate(weights):
        reached += weight
        table.extend([index] * (gaps + left * reached // total - len(table)))
    return tuple(table)
