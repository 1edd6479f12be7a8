"""The document of Participant Metrics: the series of one stay within a window."""

from __future__ import annotations

from datetime import timedelta

from pipeline.emulator import Emulator, Points, StaySpec, TrackSpec, WarningSpec
from tests.support.emulator_reader import LATER, SMALL, SMALL_STAY, Reader, at, points, small_world


def test_metrics_list_a_track_only_in_windows_it_was_published_in() -> None:
    """A screen shared for ten minutes is not in the next window; audio has neither frame rate nor resolution."""
    tracks = (
        TrackSpec("screen", "screensharing", "vp9", Points(), since=at(10, 5), until=at(10, 15)),
        TrackSpec("mic", "audio", None, Points(bitrate=())),
    )
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=tracks)
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        first, second = (
            reader.window(SMALL_STAY, at(10, 30 * n), at(10, 30 * n) + timedelta(minutes=30)).json()["published_tracks"]
            for n in range(2)
        )
    mic = {"track_id": "mic", "track_type": "audio", "codec": None, "bitrate": {"data_points": []}}
    assert first == [{"track_id": "screen", "track_type": "screensharing", "codec": "vp9"}, mic]
    assert second == [mic]


def test_stay_without_length_can_be_read() -> None:
    """A participant who joined and left at once is listed, and so is the point of that moment."""
    track = TrackSpec("mic", "audio", "opus", Points(bitrate=((at(10), 7),)))
    stay = StaySpec("ann", "ann-1", at(10), at(10), tracks=(track,))
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        (row,) = reader.all_attendance(SMALL)
        document = reader.window(SMALL_STAY, at(10), at(10, 0, 1)).json()
    assert row["duration_in_seconds"] == 0
    assert [value for *_, value in points(document)] == [7]


def test_metrics_contain_the_warnings_of_a_window_and_sticky_ones() -> None:
    """A warning on the edge of two windows is in both, and so is one that is sticky or has no time."""
    warnings = (
        WarningSpec(at(10, 30), "edge", "On the edge"),
        WarningSpec(at(10, 5), "early", "Early"),
        WarningSpec(at(10, 5), "sticky", "Sticky", sticky=True),
        WarningSpec(None, "timeless", "No time"),
    )
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=(TrackSpec("mic", warnings=warnings),))
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        given = [
            [(one["code"], "time" in one) for one in document["published_tracks"][0]["warnings"]]
            for document in reader.windows(SMALL_STAY, at(10), at(11))
        ]
    assert given[0] == [("edge", True), ("early", True), ("sticky", True), ("timeless", False)]
    assert given[1] == [("edge", True), ("sticky", True), ("timeless", False)]
