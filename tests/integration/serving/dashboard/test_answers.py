"""The pages about incidents, releases and changes, on the demo's world, which has one of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock, demo_world
from pipeline.flow import Flow
from tests.support.dashboard import page
from tests.support.flows import days_from, run

TODAY = datetime(2026, 11, 4, 12, tzinfo=UTC)
NEWEST = TODAY.date() - timedelta(days=1)


@pytest.mark.slow
def test_pages_lead_from_what_stands_out_to_a_call(
    flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page names what was planted, and shows the calls behind it when the reader chooses it."""
    with Emulator(demo_world(TODAY.date(), days=2), clock=ManualClock(TODAY)) as emulator:
        flow = flow_for(emulator)
        run(flow, *days_from(NEWEST - timedelta(days=1), 2))
    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(flow.settings.warehouse))
    incidents = page("Incidents")
    (incident,) = incidents.dataframe[0].value.to_dict("records")
    assert (incident["scope"], incident["scope_value"]) == ("media server", "sfu-2")
    releases = page("Releases")
    verdicts = {row["client_version"]: row["verdict"] for row in releases.dataframe[0].value.to_dict("records")}
    assert verdicts["6.4.0"] == "worse"
    changes = page("Changes")
    assert "comes from version web 6.4.0 (mix)." in changes.text[0].value
    for shown, choice in ((releases, "web 6.4.0"), (changes, "version web 6.4.0 (mix)")):
        box = shown.selectbox[-1]
        box.select(next(option for option in box.options if option.startswith(choice))).run()
        assert (list(shown.exception), list(shown.error)) == ([], [])
        assert set(shown.dataframe[-1].value["call_type"]) == {"workshop"}
