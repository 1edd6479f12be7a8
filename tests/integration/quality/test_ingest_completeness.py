"""The view `ingest_completeness` after real runs: its promises are those of the calls, also after an erasure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.settings import Settings
from pipeline.warehouse.published import open_published
from tests.support.erasure import AFTERWARDS, DAY, WORLD, WithoutCat


def promises(flow: Flow) -> tuple[int, int, int]:
    """Return the promised stays of the day: by the view, by the table of calls, and by the flow."""
    with open_published(flow.settings.warehouse) as database:
        (by_view,) = database.execute(
            "SELECT stays_promised FROM ingest_completeness WHERE session_date = $day", {"day": DAY}
        ).fetchone()
        (by_call,) = database.execute(
            "SELECT sum(stays_promised) FROM ingest_completeness_by_call WHERE session_date = $day", {"day": DAY}
        ).fetchone()
    return by_view, by_call, flow.completeness(DAY).promised


@pytest.mark.parametrize("connect", [None, WithoutCat.connect], ids=["complete", "one stay missing"])
def test_promised_stays_agree_before_and_after_an_erasure(
    connect: Callable[[Settings], StreamApi] | None, settings_for: Callable[..., Settings]
) -> None:
    """Three stays are promised. After bob is erased it is two, in the view, in the table and in the flow."""
    with (
        Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator,
        Flow(settings_for(emulator), connect=connect) as flow,
    ):
        flow.run(DAY)
        assert promises(flow) == (3, 3, 3)
        assert flow.forget("bob") == [DAY]
        assert promises(flow) == (2, 2, 2)
        flow.run(DAY)
        assert promises(flow) == (2, 2, 2)
