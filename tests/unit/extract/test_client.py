"""The client: how long it waits between attempts."""

from __future__ import annotations

from pipeline.extract.client import backoff_seconds


def test_backoff_grows_with_each_attempt_up_to_a_limit() -> None:
    """The wait is random, up to half a second at first, doubled with each attempt, and at most eight seconds."""
    for attempt, most in ((2, 0.5), (3, 1.0), (6, 8.0), (50, 8.0)):
        drawn = [backoff_seconds(attempt) for _ in range(200)]
        assert 0 <= min(drawn) < max(drawn) <= most
        assert max(drawn) > most / 2
