"""A server on a socket: starting, stopping, and who can reach it."""

from __future__ import annotations

import socket
import sys

import pytest

from pipeline.emulator import Emulator
from tests.support.emulator_reader import LATER, SMALL, Reader, small_world


def test_emulator_can_be_started_again_after_a_stop() -> None:
    """Ten rounds of start, request and stop work, and the port is free after each."""
    emulator = Emulator(small_world(), clock=LATER)
    for _ in range(10):
        with emulator, Reader(emulator) as reader:
            assert reader.attendance(SMALL).status_code == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", emulator.port)).close()
    emulator.stop()


def test_start_fails_if_running_or_if_the_port_is_taken() -> None:
    """Both raise an error at once."""
    with Emulator(small_world(), clock=LATER) as emulator:
        with pytest.raises(RuntimeError, match="running already"):
            emulator.start()
        with pytest.raises(OSError, match="in use"):
            Emulator(small_world(), port=emulator.port).start()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no second loopback address")
def test_emulator_listens_on_loopback_only() -> None:
    """No other machine can reach it."""
    with Emulator(small_world()) as emulator:
        assert emulator.url == f"http://127.0.0.1:{emulator.port}"
        other = socket.socket()
        with other:
            # The same port on every other address is still free, so it is not bound there.
            other.bind(("127.0.0.2", emulator.port))
