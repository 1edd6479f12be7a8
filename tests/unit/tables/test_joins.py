"""Tables that need the whole day: windows with their outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.model import Response
from tests.support import STAY, at
from tests.support.responses import FIRST, SECOND, TEN, Day, failed_response, metrics_response, track


@pytest.mark.parametrize(
    ("responses", "state", "status", "error"),
    [
        ([], "missing", None, None),
        ([metrics_response({"published_tracks": [track([TEN, 1])]})], "landed", 200, None),
        ([metrics_response({"published_tracks": [track([TEN, None])]})], "empty", 200, None),
        ([metrics_response({})], "empty", 200, None),
        ([failed_response(FIRST, 404, "HTTP 404")], "gone", 404, "HTTP 404"),
        ([failed_response(FIRST, 500, "HTTP 500")], "failed", 500, "HTTP 500"),
        ([failed_response(FIRST, None, "no response in time")], "failed", None, "no response in time"),
        (
            [metrics_response({"published_tracks": [track([TEN - 86_400, 1])]})],
            "suspect",
            200,
            "timestamps are outside the window or cannot be read",
        ),
        (
            [failed_response(FIRST, 404, "HTTP 404"), failed_response(FIRST, 500, "HTTP 500", fetched_at=at(13))],
            "gone",
            404,
            "HTTP 500",
        ),
        ([failed_response(FIRST, 500, "HTTP 500"), metrics_response({}, fetched_at=at(13))], "empty", 200, None),
    ],
)
def test_window_has_the_state_of_its_best_response(
    responses: list[Response], state: str, status: int | None, error: str | None, tmp_path: Path
) -> None:
    """A usable response goes before a 404, a 404 before another failure, and the latest error is reported in any
    case."""
    (window,) = Day(tmp_path, *responses, windows={STAY: [FIRST]}).windows.to_pylist()
    assert (window["state"], window["http_status"], window["error"]) == (state, status, error)


def test_window_that_should_not_exist_has_no_row(tmp_path: Path) -> None:
    """The points of its response are still kept."""
    day = Day(
        tmp_path, metrics_response({"published_tracks": [track([TEN + 1800, 5])]}, SECOND), windows={STAY: [FIRST]}
    )
    assert day.windows.column("state").to_pylist() == ["missing"]
    assert len(day.points()) == 1
