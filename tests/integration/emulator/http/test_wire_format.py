"""What the documentation leaves open about responses: units, forms of datetimes, bounds."""

from __future__ import annotations

import pytest

from pipeline.emulator import Emulator, WireFormat
from tests.support.emulator_reader import LATER, SMALL_STAY, Reader, at, points, small_world


def test_metrics_include_the_end_of_a_window_if_configured() -> None:
    """The documentation leaves it open, so both can be served; the start always belongs to the window."""
    for inclusive, wanted in ((True, [2, 3]), (False, [2])):
        with (
            Emulator(small_world(), clock=LATER, wire=WireFormat(until_inclusive=inclusive)) as emulator,
            Reader(emulator) as reader,
        ):
            document = reader.window(SMALL_STAY, at(10, 10), at(10, 20)).json()
            assert [value for *_, value in points(document)] == wanted


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("s", 1772445600),
        ("float_s", 1772445600.0),
        ("ms", 1772445600 * 10**3),
        ("us", 1772445600 * 10**6),
        ("ns", 1772445600 * 10**9),
    ],
)
def test_wire_format_sets_the_unit_of_points(unit: str, wanted: float) -> None:
    """The documentation names no unit, so any can be served."""
    with Emulator(small_world(), clock=LATER, wire=WireFormat(unit=unit)) as emulator, Reader(emulator) as reader:
        ((time, value),) = reader.window(SMALL_STAY, at(10), at(10, 5)).json()["published_tracks"][0]["bitrate"][
            "data_points"
        ]
    assert (time, type(time), value) == (wanted, type(wanted), 1)


def test_wire_format_sets_the_form_of_datetimes() -> None:
    """Both forms name the same instant; stray nanoseconds reveal clients that read floats."""
    with (
        Emulator(small_world(), clock=LATER, wire=WireFormat(stray_nanoseconds=789)) as emulator,
        Reader(emulator) as reader,
    ):
        assert reader.all_calls()[0]["call_started_at"] == 1772445600 * 10**9 + 789
        assert reader.window(SMALL_STAY, at(10), at(10, 5)).json()["joined_at"] == 1772445600 * 10**9 + 789
    with (
        Emulator(small_world(), clock=LATER, wire=WireFormat(datetimes="rfc3339")) as emulator,
        Reader(emulator) as reader,
    ):
        assert reader.all_calls()[0]["call_started_at"] == "2026-03-02T10:00:00.000000Z"
