"""The emulator's participant timelines: Stream's own client reads them, whole, in part, and by severity."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock
from tests.integration.details.worlds import AFTERWARDS, START, call, event, loss, world
from tests.support.emulator_reader import Reader


def test_official_sdk_reads_the_events() -> None:
    """Instants, types, severities and data come out; bounds are optional and both included."""
    sdk = pytest.importorskip("getstream")
    spec = call("a", losses={"host": loss("uplink", 0.25)}, events={"host": (event(7, "muted", by="host"),)})
    ids = ("default", "a", "a-1", "host", "host-1")
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        client = sdk.Stream(api_key=emulator.key, api_secret=emulator.secret, base_url=emulator.url)
        with client, client.video as video:
            read = video.get_call_session_participant_stats_timeline
            whole = read(*ids).data
            bounds = {name: (START + timedelta(minutes=5)).isoformat() for name in ("start_time", "end_time")}
            part = read(*ids, **bounds).data
            severe = read(*ids, severity=["warning", "critical"]).data
    assert (whole.user_id, whole.user_session_id, whole.call_session_id) == ("host", "host-1", "a-1")
    assert [(one.type, one.timestamp - START) for one in whole.events] == [
        ("participant_joined", timedelta()),
        ("track_published", timedelta()),
        ("packet_loss", timedelta(minutes=5)),
        ("muted", timedelta(minutes=7)),
        ("participant_left", timedelta(minutes=20)),
    ]
    assert whole.events[2].data == {"where": "uplink", "packet_loss_percent": 25.0}
    assert [one.type for one in part.events] == [one.type for one in severe.events] == ["packet_loss"]


def test_unknown_stay_and_wrong_bounds_are_refused() -> None:
    """404 and 400, as everywhere."""
    with Emulator(world(call("a")), clock=ManualClock(AFTERWARDS)) as emulator, Reader(emulator) as reader:
        path = "/api/v2/video/call_stats/default/a/a-1/participants/{}/host-1/timeline"
        assert reader.client.get(path.format("host")).status_code == 200
        assert reader.client.get(path.format("nobody")).status_code == 404
        for query in (
            {"start_time": "soon"},
            {"start_time": "2026-03-02T00:00:00Z", "end_time": "2026-03-01T00:00:00Z"},
        ):
            assert reader.client.get(path.format("host"), params=query).status_code == 400
