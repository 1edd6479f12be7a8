"""Visibility: which part of a call the source shows at an instant.

Here: the rules about live calls, reports, late data and forgetting, as pure functions of a spec and a time. Both the
answers and ``truth`` rest on them. Not here: JSON and HTTP.

While a call goes on, its row is refreshed every minute and its participants are those who have joined. Its first
report, some minutes after the end, completes it; a later report may bring what came late. Ninety days after the end
the list of participants is forgotten, while its totals stay (Stream's documentation of Call Attendance).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from .instants import MICROSECOND, SECOND_US, micros
from .specs import CallSpec, StaySpec, TrackSpec

LIVE_REFRESH_US: Final = 60 * SECOND_US
"""Microseconds between two refreshes of a live call's row; the documentation gives no figure."""

RETENTION: Final = timedelta(days=90)
"""How long after the end of a session its participants are listed."""


def has_started(call: CallSpec, now: int) -> bool:
    """Whether the call is there at all."""
    return micros(call.started_at) <= now


def has_ended(call: CallSpec, now: int) -> bool:
    """Whether the call is over."""
    return call.ended_at is not None and micros(call.ended_at) <= now


def reports_out(call: CallSpec, now: int) -> int:
    """How many of the call's reports have been made."""
    if call.ended_at is None:
        return 0
    ended = micros(call.ended_at)
    return sum(1 for delay in call.reports if ended + delay // MICROSECOND <= now)


def generated_at(call: CallSpec, now: int) -> int:
    """When the row was last made, in microseconds: the newest report, else the newest refresh of the live call."""
    out = reports_out(call, now)
    if out and call.ended_at is not None:
        return max(micros(call.ended_at) + delay // MICROSECOND for delay in sorted(call.reports)[:out])
    started = micros(call.started_at)
    latest = now if call.ended_at is None else min(now, micros(call.ended_at))
    return started + max(0, latest - started) // LIVE_REFRESH_US * LIVE_REFRESH_US


def is_forgotten(call: CallSpec, now: int) -> bool:
    """Whether the list of participants is gone."""
    return call.ended_at is not None and micros(call.ended_at) + RETENTION // MICROSECOND <= now


def joined(call: CallSpec, stay: StaySpec) -> int:
    """When the stay counts from, in microseconds."""
    return micros(stay.joined_at or call.started_at)


def shown_stays(call: CallSpec, now: int) -> list[StaySpec]:
    """The stays that can be seen, in the order they joined; forgetting is not applied here."""
    shown = [stay for stay in call.participants if is_shown(call, stay, now)]
    return sorted(shown, key=lambda stay: (joined(call, stay), stay.user_id, stay.user_session_id))


def is_shown(call: CallSpec, stay: StaySpec, now: int) -> bool:
    """Whether the stay can be seen."""
    out = reports_out(call, now)
    if out:
        return stay.report < out
    return stay.report == 0 and joined(call, stay) <= _newest(call, now)


def left(stay: StaySpec, now: int) -> int | None:
    """When the participant left, in microseconds, as far as that is known."""
    if stay.left_at is None:
        return None
    at = micros(stay.left_at)
    return at if at <= now else None


def shown_tracks(call: CallSpec, stay: StaySpec, now: int) -> list[TrackSpec]:
    """The tracks of a stay that can be seen."""
    out = max(1, reports_out(call, now))
    return [track for track in stay.tracks if track.report < out and _span_start(call, stay, track) <= now]


def is_publisher(call: CallSpec, stay: StaySpec, now: int) -> bool:
    """Whether the source says that the stay published something."""
    return bool(shown_tracks(call, stay, now)) if stay.is_publisher is None else stay.is_publisher


def span(call: CallSpec, stay: StaySpec, track: TrackSpec, now: int) -> tuple[int, int]:
    """From when to when a track has data that can be seen: microseconds, both included."""
    ends = [_newest(call, now)]
    ends.extend(micros(at) for at in (track.until, stay.left_at, call.ended_at) if at is not None)
    if track.late_from is not None and reports_out(call, now) <= track.late_report:
        ends.append(micros(track.late_from) - 1)
    return _span_start(call, stay, track), min(ends)


def _span_start(call: CallSpec, stay: StaySpec, track: TrackSpec) -> int:
    return max(joined(call, stay), micros(track.since)) if track.since else joined(call, stay)


def _newest(call: CallSpec, now: int) -> int:
    """The newest instant of which anything can be seen."""
    return now if reports_out(call, now) else now - call.live_lag // MICROSECOND
