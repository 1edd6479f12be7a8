"""The world of the demo."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from pipeline.emulator import demo_world, expected_rows
from tests.support.emulator_reader import DAY, at


def test_demo_world_contains_its_stories() -> None:
    """A person can find the stories by SQL."""
    world = demo_world(DAY.date(), days=2)
    expected = expected_rows(world, at(24))
    per_day = Counter(row["session_date"] for row in expected["call_sessions"])
    assert len(per_day) == 3
    assert all(30 <= count <= 50 for count in per_day.values())
    points = Counter(row["session_date"] for row in expected["metric_points"])
    assert all(50_000 < count < 400_000 for count in points.values())
    stays = {row["user_session_id"]: row for row in expected["participant_sessions"]}
    rates: dict[str, list[float]] = {"cellular": [], "wifi": []}
    for row in expected["metric_points"]:
        network = stays[row["user_session_id"]]["network_type"]
        if row["metric"] == "framerate" and row["track_type"] == "video" and network in rates:
            rates[network].append(row["value"])
    means = {network: sum(values) / len(values) for network, values in rates.items()}
    assert means["cellular"] < 18 < 28 < means["wifi"]
    codes = Counter(row["code"] for row in expected["track_warnings"])
    assert set(codes) == {"high_packet_loss", "low_bandwidth", "video_frozen"}
    frozen = {row["user_session_id"] for row in expected["track_warnings"] if row["code"] == "video_frozen"}
    assert {stays[one]["client_version"] for one in frozen} == {"4.2.0", "6.3.0", "6.4.0"}
    guests = [row for row in stays.values() if row["user_id"].startswith("guest-")]
    for version, share in (("6.3.0", 0.04), ("6.4.0", 0.2)):
        people = [row["user_session_id"] for row in guests if row["client_version"] == version]
        assert len(people) > 200
        assert abs(len(frozen.intersection(people)) / len(people) - share) < 0.02
    overloaded = [row for row in expected["track_warnings"] if row["user_id"].startswith("guest-")]
    overloaded = [row for row in overloaded if row["code"] == "low_bandwidth"]
    assert {row["session_date"] for row in overloaded} == {DAY.date() - timedelta(days=1)}
    assert len(overloaded) > 15
    crowd = max(expected["call_sessions"], key=lambda row: row["participants"])
    assert (crowd["call_type"], crowd["publishers"]) == ("livestream", 2)
    visits = Counter((row["call_session_id"], row["user_id"]) for row in expected["participant_sessions"])
    assert max(visits.values()) == 3


def test_demo_world_has_single_ratings() -> None:
    """Some people rate, those with trouble more often and worse: too few in two days for a model, which needs 200."""
    world = demo_world(DAY.date(), days=2)
    asked = [call for call in world.calls if any(stay.ratings for stay in call.participants)]
    assert {call.call_type for call in asked} == {"meeting", "workshop"}
    given: dict[bool, list[int]] = {True: [], False: []}
    people = Counter[bool]()
    for call in asked:
        for stay in call.participants:
            trouble = any(track.warnings for track in stay.tracks)
            people[trouble] += 1
            given[trouble] += [rating.rating for rating in stay.ratings]
            assert all(stay.left_at < rating.at for rating in stay.ratings if stay.left_at)
    assert 0.1 < len(given[False]) / people[False] < 0.3
    assert 0.2 < len(given[True]) / people[True] < 0.5
    assert sum(given[True]) / len(given[True]) < 3.2 < 4 < sum(given[False]) / len(given[False])
    whole_days = [call for call in world.calls if call.started_at < DAY]
    assert 40 < sum(len(stay.ratings) for call in whole_days for stay in call.participants) < 150


def test_demo_world_loses_media_in_each_place() -> None:
    """Phones lose on their uplink, Brazil on its downlink in the evening, and a server loses during its incident."""
    stays = [stay for call in demo_world(DAY.date(), days=2).calls for stay in call.participants]
    for stay in stays:
        places = {loss.where for loss in stay.losses}
        if "uplink" in places:
            assert stay.client
            assert stay.client.network_type == "cellular"
        if "server" in places:
            assert stay.sfu == "sfu-2"
    assert {loss.where for stay in stays for loss in stay.losses} == {"uplink", "server", "downlink"}
