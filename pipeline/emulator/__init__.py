"""Emulator of Stream's Video API: a real HTTP server on loopback, written from the API's documentation.

Here: the door to this package. It stands in for the API in the demo, in tests and in benchmarks, and imports nothing
else of ``pipeline``, so that a misreading in the client cannot be mirrored here. Not here: anything the client needs
to run.

The files, in the order a request meets them: ``process`` and ``server`` (socket) → ``routes`` (paths) → ``app``
(steps of a request) → ``auth``, ``quotas``, ``faults`` (may it pass) → ``queries`` (what it asks) → ``answers``
(documents) from ``worlds`` made of ``specs`` and ``series``, seen through ``visibility`` → ``mishaps`` (broken
connections). ``truth`` holds what a faultless ingester would end up with.
"""

from .clocks import ManualClock, real_time, skewed
from .faults import Fault, FaultKind
from .journal import Asked, Entry
from .process import WORLDS, make_world, run
from .quotas import Quota
from .series import METRICS, Episode, Level, Points, Signal
from .server import KEY, SECRET, Emulator
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec, WarningSpec
from .worlds import World

__all__ = [
    "KEY",
    "METRICS",
    "SECRET",
    "WORLDS",
    "Asked",
    "CallSpec",
    "ClientSpec",
    "Emulator",
    "Entry",
    "Episode",
    "Fault",
    "FaultKind",
    "Level",
    "LocationSpec",
    "ManualClock",
    "Points",
    "Quota",
    "Signal",
    "StaySpec",
    "TrackSpec",
    "WarningSpec",
    "World",
    "make_world",
    "real_time",
    "run",
    "skewed",
]
