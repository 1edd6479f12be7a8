"""Scripts of faults."""

from __future__ import annotations

import pytest

from pipeline.emulator import Fault


def test_fault_that_could_never_occur_is_refused() -> None:
    """A mistake in a script raises an error when the fault is made."""
    with pytest.raises(ValueError, match="cannot match on colour"):
        Fault("slow", match={"colour": "red"})
    with pytest.raises(ValueError, match="cosy"):
        Fault("cosy")
    with pytest.raises(ValueError, match="no endpoint"):
        Fault("slow", "metrics")
    with pytest.raises(ValueError, match="shape"):
        Fault("wrong_shape", shape="round")
