"""The report of a call in which a user was erased on request, after real runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.errors import FixSettings
from pipeline.flow import Flow
from pipeline.serving import report
from pipeline.settings import Settings
from tests.support.erasure import AFTERWARDS, DAY, WORLD, WithoutCat
from tests.support.reports import NOW, text_of


def test_report_names_an_erasure_and_does_not_blame_the_source(flow_for: Callable[..., Flow]) -> None:
    """The call is complete without bob, and the page says that a stay was left out on request."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        flow.forget("bob")
    made = report.make(flow.settings.warehouse, "s1", None, NOW)
    shown = text_of(made)
    assert made.problems == ()
    assert "✓ Complete" in shown
    assert "1 stay of people who were erased on request is left out." in shown
    assert "Stays 2 of 2" in shown
    assert "bob" not in shown
    for blame in ("The source does not know", "The source had", "forgotten", "dropped"):
        assert blame not in shown
    with pytest.raises(FixSettings, match=r"its users are 'ann', 'cat'$"):
        report.make(flow.settings.warehouse, "s1", "bob", NOW)


def test_report_distinguishes_an_erasure_from_a_missing_stay(settings_for: Callable[..., Settings]) -> None:
    """Bob is erased, and cat's stay is missing: of two promised stays one is stored, and one was left out."""
    with (
        Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator,
        Flow(settings_for(emulator), connect=WithoutCat.connect) as flow,
    ):
        flow.run(DAY)
        flow.forget("bob")
        made = report.make(flow.settings.warehouse, "s1", None, NOW)
    assert made.problems == ("1 of 2 stays are stored.",)
    assert "1 stay of people who were erased on request is left out." in text_of(made)
