"""The emulator's participant details: Stream's own client reads them, and a planted loss is where it was planted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock
from tests.integration.details.worlds import AFTERWARDS, SENT, START, call, loss, world
from tests.support.emulator_reader import Reader


def test_official_sdk_reads_both_sides() -> None:
    """Series, labels, thresholds and the timeframe come out as they are documented."""
    sdk = pytest.importorskip("getstream")
    spec = call("a", losses={"host": loss("uplink", 0.25)})
    ids = ("default", "a", "a-1")
    bounds = {"since": START.isoformat(), "until": (START + timedelta(minutes=20)).isoformat()}
    with Emulator(world(spec), clock=ManualClock(AFTERWARDS)) as emulator:
        client = sdk.Stream(api_key=emulator.key, api_secret=emulator.secret, base_url=emulator.url)
        with client, client.video as video:
            read = video.get_call_session_participant_stats_details
            host = read(*ids, "host", "host-1", **bounds, max_points=4096).data
            viewer = read(*ids, "viewer-0", "viewer-0-1", **bounds, max_points=30).data
    (camera,) = host.publisher.tracks["video"]
    assert host.timeframe.step_seconds == 1
    assert [value for _, value in camera.metrics["bitrate"]] == [SENT] * 120
    assert [value for _, value in camera.metrics["packet_loss"]] == [0] * 30 + [25] * 30 + [0] * 60
    assert (camera.metrics_meta["bitrate"].unit, camera.thresholds["packet_loss"][0].level) == ("bps", "warning")
    (subscription,) = viewer.subscriber.subscriptions
    (received,) = subscription.tracks["video"]
    assert (subscription.publisher_user_id, viewer.timeframe.step_seconds, viewer.publisher) == ("host", 40, None)
    assert len(received.metrics["bitrate"]) == 30
    assert {value for _, value in received.metrics["bitrate"]} == {SENT, 0.75 * SENT}


@pytest.mark.parametrize("query", ["max_points=0", "max_points=4097", "max_points=x", "since=yesterday"])
def test_wrong_parameters_are_refused(query: str) -> None:
    """The limit of points is that of the specification."""
    with Emulator(world(call("a")), clock=ManualClock(AFTERWARDS)) as emulator, Reader(emulator) as reader:
        path = "/api/v2/video/call_stats/default/a/a-1/participant/host/host-1/details"
        assert reader.client.get(path).status_code == 200
        assert reader.client.get(path, params=dict([query.split("=")])).status_code == 400
