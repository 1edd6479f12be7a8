"""The log of requests."""

from __future__ import annotations

import pytest

from pipeline.emulator import Emulator
from tests.support.emulator_reader import LATER, SMALL, SMALL_STAY, Reader, at, small_world


def test_requests_are_logged_with_their_parameters() -> None:
    """Ids are decoded, bounds are as received; counts are by endpoint and status."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        reader.window(SMALL_STAY, at(10), at(10, 30))
        reader.window(SMALL_STAY, at(10), at(10))
        reader.attendance(SMALL)
        reader.client.get("/elsewhere")
        first, second, *_ = emulator.requests
        assert (first.endpoint, first.status, first.at) == ("participant_metrics", 200, LATER())
        assert tuple(first.ids.values()) == SMALL_STAY
        assert (first.since, first.until) == ("2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z")
        assert second.status == 400
        assert [emulator.count("participant_metrics"), emulator.count("participant_metrics", 200)] == [2, 1]
        assert [emulator.count(), emulator.count(status=404), emulator.count("unknown")] == [4, 1, 1]
        emulator.clear_requests()
        assert (emulator.count(), emulator.requests) == (0, [])


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (2, 2), (None, 5)])
def test_request_log_can_be_bounded(size: int | None, kept: int) -> None:
    """Requests are counted even if none is kept."""
    with Emulator(small_world(), clock=LATER, max_logged_requests=size) as emulator, Reader(emulator) as reader:
        for _ in range(5):
            reader.attendance(SMALL)
        assert (len(emulator.requests), emulator.count("participant_sessions")) == (kept, 5)
