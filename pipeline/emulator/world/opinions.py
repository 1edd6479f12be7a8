"""What people of the demo thought of their calls: the ratings that some of them gave.

The product asks after every third meeting and after every second workshop. One in six answers, and two in six of those
whose tracks had a warning, who are less happy. What happens in the calls is in `demo` and `workshops`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Final

from .specs import CallSpec, RatingSpec, StaySpec

EVERY: Final = {"meeting": 3, "workshop": 2}
"""By type of call: of so many calls, one is asked about."""

ANSWERS, ANSWERS_WITH_TROUBLE = 1 / 6, 2 / 6
"""Shares of the people who answer."""

STARS: Final = ((5, 6, ""), (5, 2, "Great call"), (4, 4, ""), (3, 1, "Sound was fine, picture a bit soft"))
STARS_WITH_TROUBLE: Final = (
    (1, 2, "My video froze"),
    (2, 3, "Picture was stuck for minutes"),
    (3, 3, ""),
    (4, 2, "Hiccup in the middle, else fine"),
    (5, 1, ""),
)
"""Stars, how often they are given, and the reason."""


def with_ratings(call: CallSpec, seed: str) -> CallSpec:
    """Return the call with the ratings that its publishers gave, if they were asked. Nothing else changes."""
    every = EVERY.get(call.call_type)
    if every is None or int(call.call_id.rpartition("-")[2]) % every:
        return call
    return replace(call, participants=tuple(_rated(stay, seed) for stay in call.participants))


def _rated(stay: StaySpec, seed: str) -> StaySpec:
    draw = random.Random(f"{seed}:{stay.user_session_id}")  # noqa: S311 - not for secrets
    had_trouble = any(track.warnings for track in stay.tracks)
    if draw.random() >= (ANSWERS_WITH_TROUBLE if had_trouble else ANSWERS) or stay.left_at is None:
        return stay
    choices = STARS_WITH_TROUBLE if had_trouble else STARS
    ((stars, _, reason),) = draw.choices(choices, [weight for _, weight, _ in choices])
    at = stay.left_at + timedelta(seconds=draw.randrange(5, 40))
    return replace(stay, ratings=(RatingSpec(at, stars, reason),))
