"""A stand-in for Stream's Video API: a real HTTP server on loopback, written from the API's documentation.

The demo, the tests and the benchmarks run against it. It imports nothing else of `pipeline`, so that a misreading of
the documentation in the client cannot be repeated here. Whatever the client needs to run stays out.

There are two rooms. Read `world` first: what happened in a made-up product, and what its source shows of it. Then
`http`: how it is served. `serve` runs it as a process of its own, and `__main__` is its command line. The names below
are all that the rest of the project uses.
"""

from .http.emulator import KEY, SECRET, Emulator
from .http.faults import Fault, FaultKind
from .http.quotas import Quota
from .http.request_log import ApiRequest
from .http.wire_format import WireFormat
from .serve import WORLD_NAMES, make_world, run
from .world.clocks import ManualClock, real_time, skewed
from .world.demo import demo_world
from .world.expected_rows import expected_rows
from .world.odd import odd_world
from .world.series import METRICS, Episode, Level, Points, Signal
from .world.specs import (
    CallSpec,
    ClientSpec,
    EventSpec,
    LocationSpec,
    LossSpec,
    RatingSpec,
    StaySpec,
    TrackSpec,
    WarningSpec,
)
from .world.uniform import uniform_world
from .world.world import World

__all__ = [
    "KEY",
    "METRICS",
    "SECRET",
    "WORLD_NAMES",
    "ApiRequest",
    "CallSpec",
    "ClientSpec",
    "Emulator",
    "Episode",
    "EventSpec",
    "Fault",
    "FaultKind",
    "Level",
    "LocationSpec",
    "LossSpec",
    "ManualClock",
    "Points",
    "Quota",
    "RatingSpec",
    "Signal",
    "StaySpec",
    "TrackSpec",
    "WarningSpec",
    "WireFormat",
    "World",
    "demo_world",
    "expected_rows",
    "make_world",
    "odd_world",
    "real_time",
    "run",
    "skewed",
    "uniform_world",
]
