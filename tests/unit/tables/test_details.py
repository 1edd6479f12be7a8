"""Responses of participant details as series and points: ids, units of time, what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.tables.details import explode_details

SINCE = 1_772_359_200_000_000
WINDOW = (SINCE, SINCE + 3_600_000_000)
SECOND = SINCE // 1_000_000
TRACK = {"track_id": "cam", "codec": "vp8", "rid": "f", "metrics": {"bitrate": [[SECOND, 5], [SECOND + 1, 6.5]]}}


def exploded(*bodies: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Return the series, the points, and how many responses were left out."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    series, points, left_out = explode_details(texts, [0] * len(texts), [WINDOW] * len(texts))
    return series.to_pylist(), points.to_pylist(), left_out


def of_user(pairs: Any) -> dict[str, Any]:
    """Return a response with one series about the device."""
    return {"user": {"metrics": {"cpu": pairs}}}


def test_every_side_becomes_series_with_its_ids() -> None:
    """Whole connections have no track, subscriptions name a publisher, and a track has the type of its list."""
    whole = {
        "global": {"latency": [[SECOND, 40]]},
        "global_meta": {"latency": {"label": "Latency", "unit": "ms"}},
        "global_thresholds": {"latency": [{"level": "bad", "operator": "gt", "value": 300}]},
    }
    subscription = {"publisher_user_id": "ann", "publisher_user_session_id": "ann-1", "tracks": {"video": [TRACK]}}
    series, points, left_out = exploded(
        {
            "timeframe": {"step_seconds": 5},
            "publisher": whole | {"tracks": {"video": [TRACK]}},
            "subscriber": {"subscriptions": [subscription]},
            **of_user([[SECOND, 0.5]]),
        }
    )
    names = ("side", "metric", "unit", "track_id", "track_type", "rid", "publisher_user_id", "step_seconds")
    assert [tuple(row[name] for name in names) for row in series] == [
        ("publisher", "latency", "ms", None, None, None, None, 5),
        ("publisher", "bitrate", None, "cam", "video", "f", None, 5),
        ("subscriber", "bitrate", None, "cam", "video", "f", "ann", 5),
        ("user", "cpu", None, None, None, None, None, 5),
    ]
    assert json.loads(series[0]["thresholds"]) == [{"level": "bad", "operator": "gt", "value": 300}]
    assert [(row["series"], row["timestamp"] - SINCE, row["value"]) for row in points] == [
        (0, 0, 40),
        (1, 0, 5),
        (1, 1_000_000, 6.5),
        (2, 0, 5),
        (2, 1_000_000, 6.5),
        (3, 0, 0.5),
    ]
    assert left_out == 0


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_unit_of_time_follows_from_its_magnitude(scale: int) -> None:
    """Seconds to nanoseconds give the same instants."""
    _, points, _ = exploded(of_user([[(SECOND + 7) * scale, 1]]))
    assert [row["timestamp"] for row in points] == [SINCE + 7_000_000]


def test_pair_without_a_value_is_no_point() -> None:
    """Null stays missing; it becomes no zero."""
    series, points, left_out = exploded(of_user([[SECOND, None], None, [SECOND + 1, 2]]), of_user([]), {"user": None})
    assert (len(series), [row["value"] for row in points], left_out) == (1, [2], 0)


@pytest.mark.parametrize(
    "body",
    [
        of_user([[SECOND + 7_200, 1]]),
        of_user([[SECOND, 1], [SECOND * 1_000, 1]]),
        of_user([[None, 1]]),
        of_user([1, 2]),
        of_user("text"),
        "[]",
        "nonsense",
    ],
)
def test_response_that_cannot_be_right_is_left_out_whole(body: Any) -> None:
    """Points outside the window, several units, other shapes: none is guessed at, and the other responses count."""
    series, points, left_out = exploded(body, of_user([[SECOND, 3]]))
    assert (len(series), [row["value"] for row in points], left_out) == (1, [3], 1)
