"""Counts: the totals of a call session (``CallStatsParticipantCounts``), worked out from its stays.

Here: one function. Not here: the answers that carry them (``answers``) and the rows they are checked by (``truth``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from . import visibility as vis
from .instants import SECOND_US, micros
from .specs import CallSpec


def counts(call: CallSpec, now: int) -> dict[str, Any]:
    """The totals as they stand at ``now`` (microseconds); durations in seconds, delays in milliseconds.

    Optional figures that nothing in the spec speaks of are left out.
    """
    stays = vis.shown_stays(call, now)
    over = vis.has_ended(call, now)
    closing = now if not over or call.ended_at is None else micros(call.ended_at)
    presence: list[tuple[str, int, int]] = []
    live = 0
    for stay in stays:
        left = vis.left(stay, now)
        live += not over and left is None
        presence.append((stay.user_id, vis.joined(call, stay), left if left is not None else closing))
    publishers = {stay.user_id for stay in stays if vis.is_publisher(call, stay, now)}
    answer: dict[str, Any] = {
        "participants": len({stay.user_id for stay in stays}),
        "sessions": len(stays),
        "live_sessions": live,
        "publishers": len(publishers),
        "peak_concurrent_users": _peak((user, begins, ends) for user, begins, ends in presence),
        "peak_concurrent_sessions": _peak((str(n), begins, ends) for n, (_, begins, ends) in enumerate(presence)),
        "sfus_used": len({stay.sfu for stay in stays if stay.sfu is not None}),
        "total_participant_duration": sum((ends - begins) // SECOND_US for _, begins, ends in presence),
    }
    optional = {
        "average_jitter_ms": _mean(stay.jitter_ms for stay in stays),
        "average_latency_ms": _mean(stay.latency_ms for stay in stays),
        "max_freezes_duration_ms": max((stay.freezes_duration_ms or 0 for stay in stays), default=0) or None,
        "cq_score": call.cq_score,
        "call_event_count": call.call_event_count,
        "avg_user_rating": call.avg_user_rating,
        "min_user_rating": call.min_user_rating,
    }
    return answer | {name: value for name, value in optional.items() if value is not None}


def _mean(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known)) if known else None


def _peak(presence: Iterable[tuple[str, int, int]]) -> int:
    """The most different names present at once; who leaves at the instant another joins was there with them."""
    changes = sorted(
        change for name, begins, ends in presence for change in ((begins, 0, name), (max(begins, ends), 1, name))
    )
    present: Counter[str] = Counter()
    most = 0
    for _, leaving, name in changes:
        if leaving:
            present[name] -= 1
            if not present[name]:
                del present[name]
        else:
            present[name] += 1
            most = max(most, len(present))
    return most
