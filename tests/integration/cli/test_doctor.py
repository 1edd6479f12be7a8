"""`call-metrics doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.emulator import Emulator
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
