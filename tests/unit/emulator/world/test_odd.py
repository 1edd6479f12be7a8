"""The odd world."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from pipeline.emulator import Signal, expected_rows, odd_world
from tests.support.emulator_reader import DAY, at


def test_odd_world_contains_every_oddity() -> None:
    """Everything that the odd world exists for is in it."""
    world = odd_world(DAY.date(), days=2)
    stays = [(call, stay) for call in world.calls for stay in call.participants]
    tracks = [track for _, stay in stays for track in stay.tracks]
    lengths = {(call.ended_at or at(72)) - call.started_at for call in world.calls}
    assert timedelta(minutes=30) in lengths
    assert max(lengths) > timedelta(days=1)
    assert any(call.ended_at and call.ended_at.date() > call.started_at.date() for call in world.calls)
    assert max(len(call.participants) for call in world.calls) > 100
    assert sum(call.started_at.date() == DAY.date() for call in world.calls) > 100
    assert any(call.ended_at is None for call in world.calls)
    assert any(not call.participants for call in world.calls)
    assert any(call.participants and not any(stay.tracks for stay in call.participants) for call in world.calls)
    users = Counter((call.ids, stay.user_id) for call, stay in stays)
    assert max(users.values()) == 3
    assert any(stay.joined_at == stay.left_at for _, stay in stays)
    assert any(stay.left_at is None and call.ended_at for call, stay in stays)
    assert any(stay.joined_at is None for _, stay in stays)
    assert any("/" in call.call_id and "#" in call.call_id for call in world.calls)
    assert {"audio", "video", "screensharing"} <= {track.track_type for track in tracks}
    assert any(track.codec is None for track in tracks)
    assert any(track.extra for track in tracks)
    assert any(len(track.warnings) > len(set(track.warnings)) for track in tracks)
    assert any(call.reports[1:] for call in world.calls)
    assert any(isinstance(track.points, Signal) and track.points.null_share for track in tracks)
    expected = expected_rows(world, at(60), tables=("metric_points",))["metric_points"]
    edges = [row["timestamp"] for row in expected if row["call_id"] == "on-the-edges"]
    assert edges == [at(11), at(11, 30), at(12)]
    assert len(expected) < 60_000
