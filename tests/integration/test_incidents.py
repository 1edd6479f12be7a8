"""An incident on its whole way: from the API's stand-in to the tables of both warehouses, the dashboard and Dagster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.incidents import incident_metadata, incident_result
from pipeline.serving.dashboard import run_query
from pipeline.settings import Settings
from pipeline.warehouse.published import open_published
from tests.support.dashboard import page
from tests.support.incident_calls import AFTERWARDS, DAY, SERVER, SINCE, UNTIL, incident_world

SPAN = {"first": DAY, "last": DAY}


def rows(flow: Flow, table: str) -> list[dict[str, Any]]:
    """Return the published rows of a table."""
    with open_published(flow.settings.warehouse) as database:
        return database.execute(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()


@pytest.mark.slow
def test_incident_is_in_both_warehouses(settings_for: Callable[..., Settings], lake_setting: str) -> None:
    """Ten of the twenty people of one media server get worse for ten minutes: one row, with its ten calls."""
    with Emulator(incident_world(), clock=ManualClock(AFTERWARDS)) as emulator:
        with Flow(settings_for(emulator)) as flow:
            flow.run(DAY)
            (incident,) = rows(flow, "incidents")
            calls = rows(flow, "incident_calls")
        lake = settings_for(emulator, warehouse_file=lake_setting)
        with Flow(lake) as flow:
            flow.load([DAY])
            assert rows(flow, "incidents") == [incident]
            assert rows(flow, "incident_calls") == calls
    expected = incident.pop("expected")
    assert 0 < expected < 2
    assert incident == {
        "session_date": DAY,
        "started_at": SINCE,
        "ended_at": UNTIL,
        "scope": "media server",
        "scope_value": SERVER,
        "publishers": 20,
        "affected": 10,
        "excess": 10 - expected,
        "calls": 10,
    }
    assert [call["call_id"] for call in calls] == sorted(f"call-{number}" for number in range(1, 20, 2))
    assert {(call["publishers"], call["affected"], call["affected_minutes"]) for call in calls} == {(2, 1, 10)}


def test_incident_is_shown_with_its_calls(flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard leads from the incident to its calls and into one of them; Dagster warns, with the worst calls."""
    with Emulator(incident_world(), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
    incidents, calls = flow.incidents(DAY)
    sentence = (
        f"media server {SERVER}, 2026-03-01 10:15 to 10:25 UTC: 10 of 20 publishers got worse, "
        f"{incidents[0]['expected']:.1f} expected, in 10 calls"
    )
    result = incident_result(DAY, incidents)
    assert (result.passed, result.severity.value, result.description) == (False, "WARN", f"{DAY}: {sentence}")
    metadata = incident_metadata(incidents, calls)
    assert metadata["incidents"] == 1
    assert metadata["incidents_and_calls"].value.count("1 of 2") == 3, "the three worst calls"

    published = flow.settings.warehouse
    (found,) = run_query(published, "incidents", **SPAN)
    key = {name: found[name] for name in ("started_at", "scope", "scope_value")}
    listed = run_query(published, "incident_calls", day=DAY, **key)
    assert len(listed) == 10
    later = key | {"started_at": key["started_at"] + timedelta(minutes=1)}
    assert run_query(published, "incident_calls", day=DAY, **later) == []

    monkeypatch.setenv("CALL_METRICS_WAREHOUSE", str(published))
    shown = page("Incidents")
    assert len(shown.dataframe) == 1
    shown.session_state["incident"] = (DAY, *key.values())
    shown.session_state["incident call"] = (listed[0]["call_session_id"],)
    shown.run()
    assert list(shown.exception) == []
    assert [text.value for text in shown.text] == [sentence]
    assert [header.value for header in shown.subheader] == [f"default:{listed[0]['call_id']}"]


@pytest.mark.slow
def test_rebuild_and_an_erasure_find_it_again(flow_for: Callable[..., Flow]) -> None:
    """The rows are a function of what landed: the same after a rebuild, and without a person after their erasure."""
    with Emulator(incident_world(), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
    before = rows(flow, "incidents"), rows(flow, "incident_calls")
    flow.rebuild([DAY])
    assert (rows(flow, "incidents"), rows(flow, "incident_calls")) == before
    flow.forget("user-1-0")
    (incident,) = rows(flow, "incidents")
    assert (incident["publishers"], incident["affected"], incident["calls"]) == (19, 9, 9)
    assert "call-1" not in [call["call_id"] for call in rows(flow, "incident_calls")]
