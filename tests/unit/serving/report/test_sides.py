"""Where media got lost in one minute, and the sentences about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.serving.report.sides import DOWNLINK, FINE, SERVER, UNKNOWN, UPLINK, place_of, sentences_of, ways_of

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def minute(number: int = 0, **given: Any) -> dict[str, Any]:
    """Return a minute in which nothing got lost, with other values if given."""
    fine = {
        "publisher_user_id": "host",
        "publisher_user_session_id": "host-1",
        "user_id": "ann",
        "user_session_id": "ann-1",
        "track_type": "video",
        "minute": START + timedelta(minutes=number),
        "sent": 1000.0,
        "sent_unit": "bps",
        "sent_loss": 0.0,
        "encodings": 1,
        "received": 990.0,
        "received_unit": "bps",
        "received_loss": 0.1,
    }
    return fine | given


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({}, (FINE,)),
        ({"sent_loss": 5.0, "received": 500.0}, (UPLINK,)),
        ({"received_loss": 5.0, "received": 500.0}, (DOWNLINK,)),
        ({"sent_loss": 5.0, "received_loss": 5.0}, (UPLINK, DOWNLINK)),
        ({"received": 500.0}, (SERVER,)),
        ({"received": 500.0, "encodings": 3}, (FINE,)),
        ({"received": 500.0, "encodings": 3, "sent_loss": None}, (UNKNOWN,)),
        ({"received": 500.0, "received_unit": "kbps"}, (FINE,)),
        ({"received": 500.0, "received_loss": None}, (UNKNOWN,)),
        ({"sent_loss": None, "received_loss": None}, (FINE,)),
        ({"sent": None, "sent_loss": None}, (UNKNOWN,)),
        ({"received": None, "received_loss": None}, (UNKNOWN,)),
        ({"received": None, "sent_loss": 9.0}, (UNKNOWN,)),
    ],
)
def test_place_is_named_only_if_both_sides_say_so(given: dict[str, Any], places: tuple[str, ...]) -> None:
    """Losses come first, then a bitrate that is comparable; what neither says is unknown."""
    assert place_of(minute(**given)) == places


def test_sentence_says_where_for_how_long_and_since_when() -> None:
    """The way with the most bad minutes comes first, and each place is counted."""
    bad = [minute(0), minute(1, sent_loss=9.0), minute(2, received_loss=9.0), minute(3, received_loss=9.0)]
    other = [minute(number, user_id="bob", user_session_id="bob-1", sent=None) for number in range(4)]
    assert sentences_of(ways_of([*other, *bad]), START) == [
        (
            "Video from host to ann: lost on the publisher's uplink in 1 of 4 minutes, first at 10:01:00 UTC; "
            "lost on the subscriber's downlink in 2 of 4 minutes, first at 10:02:00 UTC."
        ),
        "Video from host to bob: unknown in 4 of 4 minutes (the publisher's side is missing).",
    ]
