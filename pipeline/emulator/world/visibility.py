"""The rules about which part of a call the source shows at a given time: live calls, reports, late data, expiry.

Pure functions of a spec and a time. `now` is in microseconds since the epoch, and so is every time they return. The
documents of `pipeline.emulator.http` and `expected_rows` both follow these rules. JSON and HTTP stay out.

While a call is live, its row is refreshed every minute, and its participants are those who have joined. Its first
report, some minutes after the end, completes it. A later report may add late data. Ninety days after the end the list
of participants expires, while its totals stay (Stream's documentation of Call Attendance).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from .specs import CallSpec, RatingSpec, StaySpec, TrackSpec, WarningSpec
from .timestamps import MICROSECOND, SECOND_US, to_micros

LIVE_REFRESH_US: Final = 60 * SECOND_US
"""Microseconds between two refreshes of a live call's row; the documentation gives no figure."""

RETENTION: Final = timedelta(days=90)
"""How long after the end of a call session the source lists its participants."""

PUBLISHED_FLAGS: Final[Mapping[str, str]] = {
    "audio": "audio",
    "video": "video",
    "screenshare": "screensharing",
    "screenshare_audio": "screensharing_audio",
}
"""The flags of published tracks in Participant Statistics, with the track type of each."""


def has_started(call: CallSpec, now: int) -> bool:
    """Whether the call is visible at all."""
    return to_micros(call.started_at) <= now


def ended_at(call: CallSpec, now: int) -> int | None:
    """Return when the call ended, or None while it is live."""
    if call.ended_at is None:
        return None
    ended = to_micros(call.ended_at)
    return ended if ended <= now else None


def reports_made(call: CallSpec, now: int) -> int:
    """Return how many of the call's reports exist."""
    if call.ended_at is None:
        return 0
    ended = to_micros(call.ended_at)
    return sum(1 for delay in call.reports if ended + delay // MICROSECOND <= now)


def generated_at(call: CallSpec, now: int) -> int:
    """Return when the call's row was last made: at the newest report, or at the newest refresh of the live call."""
    made = reports_made(call, now)
    if made and call.ended_at is not None:
        return to_micros(call.ended_at) + sorted(call.reports)[made - 1] // MICROSECOND
    started = to_micros(call.started_at)
    latest = now if call.ended_at is None else min(now, to_micros(call.ended_at))
    return started + max(0, latest - started) // LIVE_REFRESH_US * LIVE_REFRESH_US


def has_expired(call: CallSpec, now: int) -> bool:
    """Whether the source has dropped the list of participants."""
    return call.ended_at is not None and to_micros(call.ended_at) + RETENTION // MICROSECOND <= now


# -- stays ------------------------------------------------------------------------------------------------------------


def joined_at(call: CallSpec, stay: StaySpec) -> int:
    """Return when the stay begins: when its user joined, or the call's start if that is not recorded."""
    return to_micros(stay.joined_at or call.started_at)


def left_at(stay: StaySpec, now: int) -> int | None:
    """Return when the participant left, or None if that is not known yet."""
    if stay.left_at is None:
        return None
    left = to_micros(stay.left_at)
    return left if left <= now else None


def is_live(call: CallSpec, stay: StaySpec, now: int) -> bool:
    """Whether the participant is still in the call."""
    return ended_at(call, now) is None and left_at(stay, now) is None


def duration_seconds(stay: StaySpec, now: int) -> int | None:
    """Return the whole seconds from joining to leaving, or None while either is unknown."""
    left = left_at(stay, now)
    return None if left is None or stay.joined_at is None else (left - to_micros(stay.joined_at)) // SECOND_US


def visible_stays(call: CallSpec, now: int) -> list[StaySpec]:
    """Return the visible stays in the order of joining. Does not apply expiry (see `has_expired`)."""
    visible = [stay for stay in call.participants if is_visible(call, stay, now)]
    return sorted(visible, key=lambda stay: (joined_at(call, stay), *stay.ids))


def is_visible(call: CallSpec, stay: StaySpec, now: int) -> bool:
    """Whether the source shows the stay."""
    made = reports_made(call, now)
    if made:
        return stay.report < made
    return stay.report == 0 and joined_at(call, stay) <= _newest(call, now)


def is_publisher(call: CallSpec, stay: StaySpec, now: int) -> bool:
    """Whether the source reports that the participant published something."""
    return bool(visible_tracks(call, stay, now)) if stay.is_publisher is None else stay.is_publisher


def visible_ratings(call: CallSpec, now: int) -> list[tuple[StaySpec, RatingSpec, int]]:
    """Return the ratings given by then, in the order of giving: the stay, the rating, its number in the stay."""
    given = [
        (stay, rating, number)
        for stay in call.participants
        for number, rating in enumerate(stay.ratings)
        if to_micros(rating.at) <= now
    ]
    return sorted(given, key=lambda one: (one[1].at, *one[0].ids, one[2]))


# -- tracks -----------------------------------------------------------------------------------------------------------


def visible_tracks(call: CallSpec, stay: StaySpec, now: int) -> list[TrackSpec]:
    """Return the visible tracks of a stay."""
    made = max(1, reports_made(call, now))
    return [track for track in stay.tracks if track.report < made and _published_at(call, stay, track) <= now]


def published_flags(call: CallSpec, stay: StaySpec, now: int) -> dict[str, bool]:
    """Return, for each of `PUBLISHED_FLAGS`, whether the stay has a visible track of that type."""
    types = {track.track_type for track in visible_tracks(call, stay, now)}
    return {flag: track_type in types for flag, track_type in PUBLISHED_FLAGS.items()}


def visible_span(call: CallSpec, stay: StaySpec, track: TrackSpec, now: int) -> tuple[int, int]:
    """Return the first and the last instant at which the track can have visible data, both included.

    The last is before the first if nothing is visible yet.
    """
    ends = [_newest(call, now)]
    ends.extend(to_micros(end) for end in (track.until, stay.left_at, call.ended_at) if end is not None)
    if track.late_from is not None and reports_made(call, now) <= track.late_report:
        ends.append(to_micros(track.late_from) - 1)
    return _published_at(call, stay, track), min(ends)


def warnings_within(track: TrackSpec, since: int, until: int) -> list[WarningSpec]:
    """Return the warnings of a window, both bounds included; sticky and timeless ones are in every window."""
    return [
        warning
        for warning in track.warnings
        if warning.sticky or warning.at is None or since <= to_micros(warning.at) <= until
    ]


def _published_at(call: CallSpec, stay: StaySpec, track: TrackSpec) -> int:
    joined = joined_at(call, stay)
    return max(joined, to_micros(track.since)) if track.since else joined


def _newest(call: CallSpec, now: int) -> int:
    """Return the newest instant with visible data."""
    return now if reports_made(call, now) else now - call.live_lag // MICROSECOND
