"""How a quota counts, without a server."""

from __future__ import annotations

from pipeline.emulator import ManualClock, Quota
from pipeline.emulator.http.quotas import QuotaCounter
from tests.support.emulator_reader import at


def test_quota_windows_are_separate_and_end_at_the_reset() -> None:
    """The first request after the reset starts a new window; the reset is a multiple of its length."""
    seconds = iter([100.0, 100.0, 110.0, 119.9, 120.0, 121.0])
    counter = QuotaCounter({"x": Quota(2, 20.0)}, ManualClock(at(12)), lambda: next(seconds))
    # The first reading sets the counter's own time to 12:00:00, so windows end at 12:00:20 and 12:00:40.
    states = [counter.spend("x") for _ in range(5)]
    assert [(one.allowed, one.remaining) for one in states if one] == [
        (True, 1), (True, 0), (False, 0), (True, 1), (True, 0),
    ]  # fmt: skip
    assert [round(one.seconds_left, 3) for one in states if one] == [20.0, 10.0, 0.1, 20.0, 19.0]
    assert counter.spend("y") is None


def test_quota_reset_is_rounded_up_to_whole_seconds() -> None:
    """A client that waits for the reset never comes back too early."""
    clock = ManualClock(at(12, 0, 0.4))
    counter = QuotaCounter({"x": Quota(2, 2.0)}, clock, lambda: 0.0)
    state = counter.spend("x")
    assert state is not None
    assert state.reset == at(12, 0, 2).timestamp()
    assert round(state.seconds_left, 3) == 1.6
