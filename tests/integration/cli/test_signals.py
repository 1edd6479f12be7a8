"""Signals that arrive before a command has begun."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

STOPPED_WHILE_LOADING = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background

class Stops:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), int(sys.argv[1]))

sys.meta_path.insert(0, Stops())
from pipeline.cli import main
sys.exit(main(["--help"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_the_program_loads_ends_it_in_one_sentence(number: signal.Signals) -> None:
    """The exit code is that of a command that is stopped later."""
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_LOADING, f"{int(number)}"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "call-metrics: stopped\n")
