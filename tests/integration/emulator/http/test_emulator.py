"""The emulator as a whole: with the official SDK as its client, and next to another emulator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.emulator import Emulator, World, odd_world
from tests.support.emulator_reader import DAY, LATER, Reader, small_world


def test_official_sdk_reads_a_world_end_to_end() -> None:
    """Stream's own client gets the expected calls, participants and series."""
    sdk = pytest.importorskip("getstream")
    world = odd_world(DAY.date(), days=1, scale=0)
    chosen = [call for call in world.calls if call.call_id in ("two-windows", "a/b?c#d%25e", "rejoins")]
    world = World(tuple(chosen))
    found, stays = set(), set()
    with Emulator(world, clock=LATER) as emulator:
        client = sdk.Stream(api_key=emulator.key, api_secret=emulator.secret, base_url=emulator.url)
        with client, client.video as video:
            filter_ = {"session_started_at": {"$gte": DAY.isoformat(), "$lt": (DAY + timedelta(days=1)).isoformat()}}
            sort = [sdk.models.SortParamRequest(field="session_started_at", direction=1)]
            for call in video.query_call_session_stats(limit=100, sort=sort, filter_conditions=filter_).data.call_stats:
                ids = (call.call_type, call.call_id, call.call_session_id)
                for stay in video.query_call_participant_sessions(*ids, limit=100).data.participants_sessions:
                    stays.add((*ids, stay.user_id, stay.user_session_id, stay.joined_at, stay.left_at))
                    since = stay.joined_at
                    while since < stay.left_at:
                        until = min(since + timedelta(minutes=30), stay.left_at)
                        response = video.get_call_participant_session_metrics(
                            *ids, stay.user_id, stay.user_session_id, since=since, until=until
                        ).data
                        for track in response.published_tracks:
                            for time_, value in track.bitrate.data_points:
                                found.add((*ids, stay.user_session_id, track.track_id, time_, value))
                        since = until
            limits = client.get_rate_limits(server_side=True).data.server_side
        expected = emulator.expected_rows()
    names = ("call_type", "call_id", "call_session_id")
    assert len(stays) == 2 + 1 + 4
    assert stays == {
        tuple(row[name] for name in (*names, "user_id", "user_session_id", "joined_at", "left_at"))
        for row in expected["participant_sessions"]
    }
    assert found == {
        (*(row[name] for name in (*names, "user_session_id", "track_id")), row["timestamp"].timestamp(), row["value"])
        for row in expected["metric_points"]
        if row["metric"] == "bitrate"
    }
    assert limits["GetCallParticipantSessionMetrics"].limit == 60_000


def test_emulators_in_one_process_are_independent() -> None:
    """Each has its own world, port and counts."""
    with Emulator(small_world(), clock=LATER) as one, Emulator(World(()), clock=LATER) as two:
        with Reader(one) as first, Reader(two) as second:
            assert [len(reader.all_calls()) for reader in (first, second, second)] == [1, 0, 0]
        assert (one.count(), two.count()) == (1, 2)
