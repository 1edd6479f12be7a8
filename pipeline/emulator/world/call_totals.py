"""The totals of a call session (`CallStatsParticipantCounts` in Stream's specification), computed from its stays.

The documents that carry them are built in `pipeline.emulator.http`, and the rows that they are checked against in
`expected_rows`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from . import visibility
from .specs import CallSpec
from .timestamps import SECOND_US


def call_totals(call: CallSpec, now: int) -> dict[str, Any]:
    """Return the totals at `now` (microseconds since the epoch), under the names of the specification.

    `total_participant_duration` is in seconds, everything that ends in `_ms` in milliseconds. Optional figures that the
    spec does not give are left out.
    """
    stays = visibility.visible_stays(call, now)
    ended = visibility.ended_at(call, now)
    closing = now if ended is None else ended
    presence: list[tuple[str, int, int]] = []
    for stay in stays:
        left = visibility.left_at(stay, now)
        presence.append((stay.user_id, visibility.joined_at(call, stay), closing if left is None else left))
    publishers = {stay.user_id for stay in stays if visibility.is_publisher(call, stay, now)}
    totals: dict[str, Any] = {
        "participants": len({stay.user_id for stay in stays}),
        "sessions": len(stays),
        "live_sessions": sum(visibility.is_live(call, stay, now) for stay in stays),
        "publishers": len(publishers),
        "peak_concurrent_users": _peak((user, begins, ends) for user, begins, ends in presence),
        "peak_concurrent_sessions": _peak((str(n), begins, ends) for n, (_, begins, ends) in enumerate(presence)),
        "sfus_used": len({stay.sfu for stay in stays if stay.sfu is not None}),
        "total_participant_duration": sum((ends - begins) // SECOND_US for _, begins, ends in presence),
    }
    given = visibility.visible_ratings(call, min(now, visibility.generated_at(call, now)))
    ratings = [rating.rating for _, rating, _ in given]
    optional: dict[str, float | None] = {
        "average_jitter_ms": _mean(stay.jitter_ms for stay in stays),
        "average_latency_ms": _mean(stay.latency_ms for stay in stays),
        "max_freezes_duration_ms": max((stay.freezes_duration_ms or 0 for stay in stays), default=0) or None,
        "cq_score": call.cq_score,
        "call_event_count": call.call_event_count,
        "avg_user_rating": sum(ratings) / len(ratings) if ratings else None,
        "min_user_rating": min(ratings, default=None),
    }
    if call.avg_user_rating is not None or call.min_user_rating is not None:
        optional |= {"avg_user_rating": call.avg_user_rating, "min_user_rating": call.min_user_rating}
    return totals | {name: value for name, value in optional.items() if value is not None}


def _mean(values: Iterable[int | None]) -> int | None:
    """Return the mean of the known values, rounded, or None if there are no known values."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known)) if known else None


def _peak(presence: Iterable[tuple[str, int, int]]) -> int:
    """Return the largest number of different names present at once.

    Someone who leaves at the instant at which another joins was there together with them.
    """
    changes = sorted(
        change for name, begins, ends in presence for change in ((begins, 0, name), (max(begins, ends), 1, name))
    )
    present: Counter[str] = Counter()
    peak = 0
    for _, leaves, name in changes:
        if leaves:
            present[name] -= 1
            if not present[name]:
                del present[name]
        else:
            present[name] += 1
            peak = max(peak, len(present))
    return peak
