"""The day that `scale` measures: stays of exponentially distributed length, some of whom publish."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

from pipeline.emulator import World, uniform_world
from tests.bench.scale_model import MEAN_STAY, PEOPLE, PUBLISHERS

__all__ = ["scale_world"]

MAX_MINUTES = 119
"""Longest stay, so that a call ends on its day: 2 % of stays would be longer."""


def scale_world(day: date, sessions: int, step_seconds: int = 5, seed: int = 0) -> World:
    """Return a day with so many participant sessions in calls of `PEOPLE`, a point of a track every so many seconds."""
    chance = random.Random(seed)
    calls = []
    for call in uniform_world(day, sessions // PEOPLE, PEOPLE, MAX_MINUTES, step_seconds, seed).calls:
        stays = []
        for number, stay in enumerate(call.participants):
            length = timedelta(minutes=min(MAX_MINUTES, chance.expovariate(1 / MEAN_STAY) + 0.1))
            tracks = stay.tracks if number < PUBLISHERS * PEOPLE else ()
            stays.append(replace(stay, left_at=call.started_at + length, tracks=tracks))
        calls.append(replace(call, participants=tuple(stays)))
    return World(tuple(calls), seed)
