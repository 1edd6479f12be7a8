"""A day of raw responses written by hand, and the tables that are made from it, without files of the lake."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.endpoints import ENDPOINT_NAMES
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.planning.listings import read_listings
from pipeline.schema import STAY_KEY, TABLES
from pipeline.tables.flatten import flatten_metrics
from pipeline.tables.joins import participants_table, windows_table
from pipeline.tables.provenance import Provenance
from tests.support import CALL, DAY, MIDNIGHT, STAY, at

TEN = int(at(10).timestamp())
FIRST = Window(at(10), at(10, 30))
SECOND = Window(at(10, 30), at(10, 50))
BOB = Stay(CALL, "bob", "bob-1")
CLIENT = {
    "name": "web",
    "version": "1.8.0",
    "ip": "192.0.2.7",
    "network_type": "wifi",
    "location": {
        "city": "Zürich",
        "subdivision": "Zurich",
        "country": "Switzerland",
        "country_iso_code": "CH",
        "continent": "Europe",
        "latitude": 47.37,
        "longitude": 8.54,
        "accuracy_radius_meters": 5000,
    },
}


def nanoseconds(instant: datetime) -> int:
    return (instant - MIDNIGHT) // timedelta(microseconds=1) * 1000 + int(MIDNIGHT.timestamp()) * 10**9


def calls_page(*rows: Any, **given: Any) -> Response:
    """A page of call_stats."""
    return _response(Request("call_stats", DAY, listing="c"), {"call_stats": list(rows)}, **given)


def attendance_page(*rows: Any, total: Any = None, call: Call = CALL, **given: Any) -> Response:
    """A page of Call Attendance."""
    body = {"participants_sessions": list(rows), "total_participant_sessions": total}
    return _response(Request("participant_sessions", DAY, call=call, listing="a"), body, **given)


def metrics(body: Any, window: Window = FIRST, stay: Stay = STAY, **given: Any) -> Response:
    """A response of Participant Metrics; a text becomes the body as it is."""
    return _response(Request("participant_metrics", DAY, stay=stay, window=window), body, **given)


def _response(request: Request, body: Any, **given: Any) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(**{"request": request, "status": 200, "body": text, "attempts": 1, "fetched_at": at(12)} | given)


def failed(window: Window, status: int | None, error: str, stay: Stay = STAY, **given: Any) -> Response:
    return metrics("", window, stay, status=status, error=error, **given)


class Day:
    """A day made of responses: its tables, and what was found on the way."""

    def __init__(self, folder: Path, *responses: Response, windows: dict[Stay, list[Window]] | None = None) -> None:
        self.landing = Landing(folder / f"raw{len(list(folder.iterdir())) if folder.exists() else 0}")
        asyncio.run(self._land(responses))
        self.provenance = Provenance()
        listings = read_listings(self.landing, DAY, folder)
        self.of_other_days = listings.of_other_days
        self.call_sessions = listings.call_sessions.drop_columns(["most_publishers"])
        self.attended, self.promised, self.statistics = listings.participants, listings.totals, listings.stats
        index = self.landing.index("participant_metrics", DAY)
        with BodySql() as sql:
            read_bodies = partial(self.landing.bodies, "participant_metrics", DAY)
            batches = list(flatten_metrics(sql, DAY, index, read_bodies, self.provenance))
            for name in ("tracks", "metric_points", "track_warnings"):
                parts = [getattr(batch, name).cast(TABLES[name].schema) for batch in batches]
                setattr(self, name, pa.concat_tables(parts) if parts else TABLES[name].schema.empty_table())
            findings = [batch.findings for batch in batches]
            self.participant_sessions = participants_table(sql, DAY, listings, findings)
            self.windows = windows_table(sql, DAY, _expected(windows or {}), index, findings)
        outcomes = [found.outcomes for found in findings]
        self.suspect = [place for found in outcomes for place in found.filter(found["suspect"])["place"]]

    tracks: pa.Table
    metric_points: pa.Table
    track_warnings: pa.Table

    async def _land(self, responses: tuple[Response, ...]) -> None:
        for endpoint in ENDPOINT_NAMES:
            async with self.landing.writer(endpoint, DAY) as writer:
                for response in responses:
                    if response.request.endpoint == endpoint:
                        await writer.append(response)

    def all(self) -> dict[str, list[dict[str, Any]]]:
        return {name: getattr(self, name).to_pylist() for name in TABLES if hasattr(self, name)}

    def points(self) -> list[tuple[str, str, str, float, float]]:
        """(User session, track, metric, seconds since ten o'clock, value) of all points."""
        return [
            (
                row["user_session_id"],
                row["track_id"],
                row["metric"],
                (row["timestamp"] - at(10)).total_seconds(),
                row["value"],
            )
            for row in self.metric_points.to_pylist()
        ]


def _expected(windows: dict[Stay, list[Window]]) -> pa.Table:
    rows = [
        (
            *(stay.call.call_type, stay.call.call_id, stay.call.call_session_id, stay.user_id, stay.user_session_id),
            *pair,
        )
        for stay, those in windows.items()
        for pair in ((window.since, window.until) for window in those)
    ]
    instant = pa.timestamp("us", tz="UTC")
    schema = pa.schema([*((name, pa.string()) for name in STAY_KEY), ("since", instant), ("until", instant)])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)


def track(*bitrate: Any, track_id: Any = "mic", **given: Any) -> dict[str, Any]:
    """An audio track with the pairs of its bitrate."""
    return {
        "track_id": track_id,
        "track_type": "audio",
        "codec": "opus",
        "bitrate": {"data_points": list(bitrate)},
    } | given


def pairs(*values: float | None, step: int = 10, start: int = TEN) -> list[list[float | None]]:
    return [[start + step * place, value] for place, value in enumerate(values)]
