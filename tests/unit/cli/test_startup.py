"""A command does not import what it does not use."""

import subprocess
import sys

import pytest

HIDDEN = """
import sys
from pipeline.cli.startup import start_quickly
start_quickly()
import pyarrow as pa
print(pa.array([1.5, None]).to_pylist(), "pandas" in sys.modules)
"""


def test_pyarrow_works_without_importing_pandas() -> None:
    """Pandas is installed, pyarrow makes an array, and pandas is not imported even so."""
    pytest.importorskip("pandas")
    run = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert run.stdout == "[1.5, None] False\n"
