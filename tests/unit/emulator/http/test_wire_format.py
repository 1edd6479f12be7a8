"""Options of the wire format."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.emulator import WireFormat


@pytest.mark.parametrize(
    "option", [{"unit": "minutes"}, {"datetimes": "text"}, {"retry_after": "soon"}, {"stray_nanoseconds": 1000}]
)
def test_wire_format_refuses_values_that_do_not_exist(option: dict[str, Any]) -> None:
    """A misspelled option does not silently test something else."""
    with pytest.raises(ValueError, match=next(iter(option))):
        WireFormat(**option)
