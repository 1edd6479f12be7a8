"""`call-metrics doctor`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.emulator import Emulator, skewed
from tests.support.command_line import SMALL, finish


def test_doctor_checks_everything(command: Callable[..., Any]) -> None:
    """Settings, credentials, network, clock, quotas and timestamps have a sentence each."""
    with Emulator(SMALL) as emulator:
        code, out, _ = finish(command("doctor", on=emulator))
        assert code == 0
        for subject in ("data", "timestamps", "credentials", "network", "clock", "quotas"):
            assert f"ok    {subject}: " in out
        code, out, _ = finish(command("doctor", on=emulator, STREAM_API_SECRET="wrong"))
        assert code == 2
        assert "FAIL  credentials" in out
    code, out, _ = finish(
        command("doctor", STREAM_API_KEY="a", STREAM_API_SECRET="b", STREAM_BASE_URL="http://127.0.0.1:9")
    )
    assert code == 1
    assert "FAIL  network" in out
    assert finish(command("doctor"))[0] == 2


@pytest.mark.parametrize(("skew", "ahead"), [(timedelta(hours=1), "behind"), (timedelta(hours=-1), "ahead of")])
def test_doctor_reports_a_clock_that_is_off(skew: timedelta, ahead: str, command: Callable[..., Any]) -> None:
    """One sentence says how far our clock is off, in which direction and what to do, and the exit code is 1."""
    with Emulator(SMALL, clock=skewed(skew)) as emulator:
        code, out, _ = finish(command("doctor", on=emulator))
    assert code == 1
    sentence = rf"clock: ours is (\d+) s {ahead} the source's; requests allow for it, but set the clock\n"
    found = re.search(rf"^FAIL  {sentence}", out, re.MULTILINE)
    assert found is not None, out
    assert abs(int(found[1]) - 3600) <= 10
    assert out.count("FAIL") == 1
