"""A command imports only what it uses, and gives memory back."""

import platform
import subprocess
import sys

import pytest

HIDDEN = """
import sys
from pipeline.cli.startup import tune_process
tune_process()
import pyarrow as pa
print(pa.array([1.5, None]).to_pylist(), "pandas" in sys.modules)
"""


def test_pyarrow_works_without_importing_pandas() -> None:
    """Pandas is installed, pyarrow makes an array, and pandas is not imported even so."""
    pytest.importorskip("pandas")
    run = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert run.stdout == "[1.5, None] False\n"


FREED = """
import sys
import numpy as np
from pipeline.cli.startup import tune_process
if sys.argv[1] == "tuned":
    tune_process()

def megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) >> 10 for line in status if line.startswith("RssAnon"))

del (large := [np.ones(2 << 20)])[:]  # glibc now takes arrays of up to 16 MB from where small objects are
arrays, small, before = [], [], megabytes()
for _ in range(10):
    arrays.append(np.ones(1 << 20))
    small.append(np.ones(10_000))
held = megabytes() - before
del arrays
print(held, megabytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the parameter")
def test_memory_of_large_arrays_is_given_back() -> None:
    """Ten arrays of 8 MB between small ones are freed. Without our setting, glibc keeps their memory."""
    left = {}
    for how in ("tuned", "as is"):
        run = subprocess.run([sys.executable, "-c", FREED, how], capture_output=True, text=True, check=True)
        held, left[how] = map(int, run.stdout.split())
        assert held >= 80
    assert left["tuned"] < 20
    assert left["as is"] >= 60
