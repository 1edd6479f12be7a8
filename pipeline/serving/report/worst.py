"""How poor people were poor, and when it was worst, in sentences.

The figures are those of `track_quality`. When it was worst is found here, among the points of the worst track: the
minutes in a row that have the most points under a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.planning.problems import counted
from pipeline.serving.formatting import bits, clock, duration
from pipeline.serving.report.values import CallContent, StayContent, TrackContent

__all__ = ["MAX_PEOPLE", "minute_of", "worst_of", "worst_time"]

MAX_PEOPLE = 5
"""Poor stays that have a sentence of their own, worst first."""

MINUTE = 60_000_000
"""Microseconds in a minute."""


def worst_of(call: CallContent) -> Iterator[str]:
    """Yield a sentence on each of the worst stays, if it is poor: in what way, for how long, and when most."""
    poor = [stay for stay in call.stays if stay.is_poor]
    told = [stay for stay in poor[:MAX_PEOPLE] if stay.tracks]
    for stay in told:
        yield _sentence(call, stay, stay.tracks[0])
    if len(told) < len(poor):
        yield f"{counted(len(poor) - len(told), 'more stay')} {'was' if len(poor) - len(told) == 1 else 'were'} poor."


def worst_time(call: CallContent, track: TrackContent) -> tuple[datetime, datetime] | None:
    """Return the start of the first and the end of the last of the worst minutes in a row (UTC).

    A minute counts if a point in it is under the limit of a rule that the track breaks. None if there is no such point:
    a mean can be too low without one.
    """
    if track.metrics is None:
        return None
    minute = track.metrics.instants[_is_bad(call, track)] // MINUTE
    if not len(minute):
        return None
    minutes, points = np.unique(minute, return_counts=True)
    run = np.cumsum(np.diff(minutes, prepend=minutes[0]) > 1)
    worst = minutes[run == np.argmax(np.bincount(run, weights=points))]
    return _instant(worst[0]), _instant(worst[-1] + 1)


def minute_of(instant: datetime, started_at: datetime | None) -> str:
    """Return hour and minute, with the date if it is not the day on which the call started."""
    return clock(instant, started_at)[: -len(":00")]


def _sentence(call: CallContent, stay: StayContent, track: TrackContent) -> str:
    row, kind = track.quality, track.quality["track_kind"].replace("_", " ")
    worst = f", the worst of {stay.quality['poor_tracks']} poor tracks" if stay.quality["poor_tracks"] > 1 else ""
    rules = row["poor_due_to"].split(", ")
    ways = []
    if "low framerate" in rules:
        low = row["low_framerate_share"] * row["framerate_seconds"]
        limit = f"{call.low_framerates[row['track_kind']]:g} frames per second"
        ways.append(f"under {limit} for {duration(low)} of {duration(row['framerate_seconds'])}")
    if "send stalls" in rules:
        stalled = duration(row["send_stall_seconds"])
        ways.append(f"no frame was sent for {stalled} ({counted(row['send_stalls'], 'stall')})")
    if "low bitrate" in rules:
        limit = bits(call.min_bitrates[row["track_kind"]])
        ways.append(f"a mean bitrate of {bits(row['bitrate_mean'])}bit/s, under {limit}bit/s")
    when = ""
    if found := worst_time(call, track):
        since, until = (minute_of(instant, call.session["started_at"]) for instant in found)
        when = f"; worst from {since} to {until} UTC"
    return f"{stay.name}, {kind}{worst}: {', '.join(ways)}{when}."


def _is_bad(call: CallContent, track: TrackContent) -> npt.NDArray[np.bool_]:
    """Return for each point of a track whether it is under the limit of a rule that the track breaks."""
    assert track.metrics is not None  # noqa: S101 - for the type checker
    rules, kind = track.quality["poor_due_to"].split(", "), track.quality["track_kind"]
    framerate, bitrate = (track.metrics.values[name] for name in ("framerate", "bitrate"))
    bad = np.zeros(len(framerate), dtype=bool)
    if "low framerate" in rules:
        bad |= framerate < call.low_framerates[kind]
    if "send stalls" in rules:
        bad |= framerate == 0
    if "low bitrate" in rules:
        bad |= bitrate < call.min_bitrates[kind]
    return bad


def _instant(minute: Any) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=int(minute))
