"""When each publisher was worse than usual: bad minutes, and the episodes that they make.

A minute of a camera is bad if its mean frame rate is below 60 % of the camera's usual one, if a tenth of its frame
rates say that no frame was sent, or if its mean bitrate is below 40 % of the usual one. Usual is what three quarters
of the camera's minutes in this stay do not exceed: so a camera is compared with itself, a connection that is always
bad is not getting worse, and an incident that takes half of a stay does not become what is usual. A minute without
data is neither good nor bad; nor is a camera with fewer than `MIN_MINUTES` minutes, since its usual is unknown.

An episode is a run of at least `MIN_EPISODE` bad minutes. One good minute between two bad ones does not end it. It has
an onset if a good minute comes before it, and a recovery if one comes after it. A hole of more than `MAX_HOLE` minutes
without data ends what is known: no onset and no recovery is read from one side of it to the other.

Example, one camera with a usual 30 frames per second:

    minute      0   1   2   3   4   5   6   7   8   9
    framerate  30  30   7   8   -  29   6   7  30  30
    bad         .   .   b   b       .   b   b   .   .
    episode             [-------------------)          onset at 2, recovered at 8
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.quality.incidents.camera_minutes import CameraMinutes, MetricMinutes

__all__ = ["MAX_HOLE", "MIN_EPISODE", "MIN_MINUTES", "Episodes", "StayMinutes", "find_episodes", "judge_minutes"]

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LOW_FRAMERATE, LOW_BITRATE, STALLED = 0.6, 0.35, 0.1
"""Shares of the usual below which a frame rate and a bitrate are bad, and the share of stalls from which a minute is
bad. A switch to the next lower layer of simulcast, with a little under half of the bitrate, is not bad yet."""

USUAL_PERCENT = 90
"""The percentile of a camera's minutes that is usual for it."""

MIN_MINUTES = 8
"""Minutes with data that a camera must have in a stay."""

MIN_EPISODE = 3
"""Bad minutes of the shortest episode."""

MAX_HOLE = 3
"""Minutes without data after which nothing is known."""


@dataclass(frozen=True)
class StayMinutes:
    """One element per minute of a stay that could be judged, sorted by stay and minute.

    Attributes:
        stay: number of the stay.
        minute: minutes since 1970 (UTC).
        bad: whether any of the stay's cameras was worse than usual.
    """

    stay: Ints
    minute: Ints
    bad: Flags


@dataclass(frozen=True)
class Episodes:
    """Times of a stay that were worse than usual, one element each, and the minutes at which one could have begun.

    Attributes:
        stay: number of the stay.
        begins: its first minute.
        ends: the first minute after it.
        has_onset: whether a good minute comes before it: the stay got worse.
        has_recovery: whether a good minute comes after it.
        at_risk: for each element of the `StayMinutes`, whether an episode could have begun at it.
        first_place: the element of the `StayMinutes` at which it begins.
    """

    stay: Ints
    begins: Ints
    ends: Ints
    has_onset: Flags
    has_recovery: Flags
    at_risk: Flags
    first_place: Ints


def judge_minutes(minutes: CameraMinutes) -> StayMinutes:
    """Return which minutes of which stays were worse than usual. A stay with several cameras is as bad as the worst."""
    judged = [_judged(minutes.framerate, LOW_FRAMERATE, STALLED), _judged(minutes.bitrate, LOW_BITRATE, np.inf)]
    key = np.concatenate([minutes.stay[camera] << 32 | minute for camera, minute, _ in judged])
    bad = np.concatenate([bad for *_, bad in judged])
    order = np.argsort(key, kind="stable")
    key, bad = key[order], bad[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    worst = np.logical_or.reduceat(bad, starts) if len(starts) else bad
    return StayMinutes(key[starts] >> 32, key[starts] & ((1 << 32) - 1), worst)


def _judged(minutes: MetricMinutes, low: float, stalled: float) -> tuple[Ints, Ints, Flags]:
    """Return the camera, the minute and the verdict of each minute of the cameras with enough of them."""
    counts = np.bincount(minutes.camera)
    known = counts[minutes.camera] >= MIN_MINUTES if len(counts) else np.zeros(0, dtype=bool)
    camera, mean = minutes.camera[known], minutes.mean[known]
    counts = counts[counts >= MIN_MINUTES]
    ends = np.cumsum(counts)
    # The bits of floats from 0 up are in the order of the floats, so that one sort of whole numbers is enough.
    by_value = np.sort(camera.astype(np.int64) << 32 | np.abs(mean).view(np.int32))
    place = ends - counts + (counts * USUAL_PERCENT + 99) // 100 - 1
    usual = (by_value[place] & ((1 << 32) - 1)).astype(np.int32).view(np.float32)
    bad = mean < low * np.repeat(usual, counts)
    return camera.astype(np.int64), minutes.minute[known].astype(np.int64), bad | (minutes.stalled[known] >= stalled)


def find_episodes(minutes: StayMinutes) -> Episodes:
    """Return the episodes of all stays."""
    if not len(minutes.stay):
        nothing, none = np.zeros(0, np.int64), np.zeros(0, dtype=bool)
        return Episodes(nothing, nothing, nothing, none, none, none, nothing)
    goes_on = np.zeros(len(minutes.stay), dtype=bool)
    goes_on[1:] = (np.diff(minutes.stay) == 0) & (np.diff(minutes.minute) <= MAX_HOLE + 1)
    continued = np.append(goes_on[1:], False)
    bad = minutes.bad.copy()
    between = goes_on & continued
    bad[1:-1] |= between[1:-1] & minutes.bad[:-2] & minutes.bad[2:]
    before = np.append(False, bad[:-1]) & goes_on
    after = np.append(bad[1:], False) & continued
    first, last = np.flatnonzero(bad & ~before), np.flatnonzero(bad & ~after)
    lasting = last - first + 1 >= MIN_EPISODE
    first, last = first[lasting], last[lasting]
    has_recovery = continued[last]
    ends = np.where(has_recovery, minutes.minute[np.minimum(last + 1, len(bad) - 1)], minutes.minute[last] + 1)
    steps = np.zeros(len(bad) + 1, dtype=np.int64)
    steps[first] += 1
    np.subtract.at(steps, last + 1, 1)
    inside = np.cumsum(steps[:-1]) > 0
    at_risk = goes_on & ~np.append(False, inside[:-1])
    return Episodes(minutes.stay[first], minutes.minute[first], ends, goes_on[first], has_recovery, at_risk, first)
