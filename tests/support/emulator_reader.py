"""What tests of the emulator share: a plain client, which knows the API and nothing of our own client, and worlds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import jwt

from pipeline.emulator import CallSpec, Emulator, ManualClock, Points, StaySpec, TrackSpec, World

DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""The day of the tests' own worlds."""

LATER = ManualClock(DAY + timedelta(days=4))
"""A clock at which all calls of that day are over. No test moves it."""


def at(hour: int, minute: int = 0, second: float = 0) -> datetime:
    """Return a time of that day."""
    return DAY + timedelta(hours=hour, minutes=minute, seconds=second)


def text(instant: datetime) -> str:
    """Return an instant in RFC 3339, as the documentation requires."""
    return instant.isoformat().replace("+00:00", "Z")


def instant(nanoseconds: int) -> datetime:
    """Return the datetime of nanoseconds, as the API sends them."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)


class Reader:
    """Sends requests to an emulator over a real socket."""

    def __init__(self, emulator: Emulator, *, timeout: float = 10) -> None:
        self.emulator = emulator
        token = jwt.encode({}, emulator.secret, algorithm="HS256")
        self.client = httpx.Client(
            base_url=emulator.url,
            params={"api_key": emulator.key},
            headers={"Authorization": token, "stream-auth-type": "jwt"},
            timeout=timeout,
        )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def calls(self, filter_: dict[str, Any] | None = None, **body: Any) -> httpx.Response:
        """Request one page of call sessions."""
        return self.client.post("/api/v2/video/call_stats", json={"filter_conditions": filter_ or {}, **body})

    def attendance(self, ids: tuple[str, str, str], **query: Any) -> httpx.Response:
        """Request one page of the participants of a call session."""
        return self.client.get(f"{session_path(ids)}/participant_sessions", params=query)

    def window(
        self, ids: tuple[str, ...], since: datetime | str | None = None, until: datetime | str | None = None
    ) -> httpx.Response:
        """Request the series of one stay. The ids are call type, call id, session, user, user session."""
        bounds = {"since": since, "until": until}
        query = {name: text(bound) if isinstance(bound, datetime) else bound for name, bound in bounds.items() if bound}
        user, user_session = (quote(one, safe="") for one in ids[3:])
        path = f"{session_path(ids[:3])}/participant/{user}/{user_session}/details/track"
        return self.client.get(path, params=query)

    def stats(self, ids: tuple[str, str, str], **query: Any) -> httpx.Response:
        """Request one page of participant statistics."""
        path = "/".join(quote(one, safe="") for one in ids)
        return self.client.get(f"/api/v2/video/call_stats/{path}/participants", params=query)

    def all_calls(self, filter_: dict[str, Any] | None = None, **body: Any) -> list[dict[str, Any]]:
        """Return the call sessions of all pages."""
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.calls(filter_, **body, **({"next": cursor} if cursor else {})).json()
            rows += page["call_stats"]
            cursor = page.get("next")
            if not cursor:
                return rows

    def all_attendance(self, ids: tuple[str, str, str], **query: Any) -> list[dict[str, Any]]:
        """Return the participants of all pages of a call session."""
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.attendance(ids, **query, **({"next": cursor} if cursor else {})).json()
            rows += page["participants_sessions"]
            cursor = page.get("next")
            if not cursor:
                return rows

    def windows(self, ids: tuple[str, ...], since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """Yield the document of every window of a stay; a stay without length has a window of one second."""
        until = max(until, since + timedelta(seconds=1))
        while since < until:
            end = min(until, since + timedelta(minutes=30))
            response = self.window(ids, since, end)
            assert response.status_code == 200, response.text
            yield response.json()
            since = end


def session_path(ids: tuple[str, ...]) -> str:
    """Return the path of a call session."""
    call_type, call_id, session = (quote(one, safe="") for one in ids)
    return f"/api/v2/video/call/{call_type}/{call_id}/session/{session}"


def points(document: dict[str, Any], seconds: float = 1.0) -> Iterator[tuple[str, str, str, float, float]]:
    """Yield (track id, track type, metric, time in seconds, value) of every point that is not null."""
    for track in document["published_tracks"]:
        series = {
            "bitrate": track.get("bitrate"),
            "framerate": track.get("framerate"),
            "resolution_width": track.get("resolution", {}).get("width"),
            "resolution_height": track.get("resolution", {}).get("height"),
        }
        for metric, one in series.items():
            for time, value in (one or {"data_points": []})["data_points"]:
                if value is not None:
                    yield track["track_id"], track["track_type"], metric, time * seconds, value


def small_world(**call: Any) -> World:
    """Return a world of one call of an hour with one participant and one audio track of four points."""
    track = TrackSpec("mic", "audio", "opus", Points.every(600, at(10), bitrate=(1, 2, 3, 4)))
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=(track,))
    values: dict[str, Any] = {"started_at": at(10), "ended_at": at(11), "participants": (stay,)} | call
    return World((CallSpec("default", "one", "s1", **values),))


def many_calls(count: int, people: int = 0) -> World:
    """Return a world of calls a minute apart, each a minute long. People are in each call for a minute from 08:00."""
    stays = tuple(StaySpec(f"u{n:03d}", f"us{n:03d}", at(8), at(8, 1)) for n in range(people))
    return World(
        tuple(CallSpec("default", f"c{n % 7}", f"s{n:03d}", at(8, n), at(8, n + 1), stays) for n in range(count))
    )


SMALL = ("default", "one", "s1")
SMALL_STAY = (*SMALL, "ann", "ann-1")


def assert_refused(response: httpx.Response, status: int, code: int) -> None:
    """Assert that the response is an error with every field that the specification requires."""
    body = response.json()
    assert (response.status_code, body["StatusCode"], body["code"]) == (status, status, code), response.text
    assert {"message", "duration", "more_info", "details"} <= set(body)


def compact(value: object) -> str:
    """Return JSON for a query parameter."""
    return json.dumps(value, separators=(",", ":"))
