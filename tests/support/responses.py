"""Responses as the API sends them, a folder of raw responses to land them in, and a day of tables made from them.

Nothing here uses the network. Days on a source are run with `flows`, against the emulator.
"""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from pipeline.endpoints import ENDPOINT_NAMES, EndpointName
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing, Place
from pipeline.landing.pages import body_places
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.planning.listings import read_listings
from pipeline.schema import INSTANT, STAY_KEY, TABLES
from pipeline.tables.flatten import flatten_metrics
from pipeline.tables.joins import participants_table, windows_table
from pipeline.tables.provenance import Provenance
from tests.support import CALL, DAY, MIDNIGHT, STAY, at

METRICS: EndpointName = "participant_metrics"

TEN = int(at(10).timestamp())
"""Ten o'clock of the day, in Unix seconds."""

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
"""A client as Participant Metrics describe it."""

JUNK = st.sampled_from([None, 0, -1.5, True, "x", "", [], [1], [None], {}, {"data_points": 1}, [[TEN, 1]], "a\x00b"])
"""Values of any shape, to put in the place of a field."""


# Responses. Keyword arguments replace fields of `Response`; a body that is not text is written as JSON.


def call_stats_page(*rows: Any, **given: Any) -> Response:
    """Return a page of call_stats."""
    return _response(Request("call_stats", DAY, listing="c"), {"call_stats": list(rows)}, **given)


def attendance_page(*rows: Any, total: Any = None, call: Call = CALL, **given: Any) -> Response:
    """Return a page of Call Attendance."""
    body = {"participants_sessions": list(rows), "total_participant_sessions": total}
    return _response(Request("participant_sessions", DAY, call=call, listing="a"), body, **given)


def metrics_response(body: Any = "{}", window: Window = FIRST, stay: Stay = STAY, **given: Any) -> Response:
    """Return a usable response of Participant Metrics."""
    return _response(Request(METRICS, DAY, stay=stay, window=window), body, **given)


def failed_response(window: Window, status: int | None, error: str, stay: Stay = STAY, **given: Any) -> Response:
    """Return a response of Participant Metrics that is not usable."""
    return metrics_response("", window, stay, status=status, error=error, **given)


def _response(request: Request, body: Any, **given: Any) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(**{"request": request, "status": 200, "body": text, "attempts": 1, "fetched_at": at(12)} | given)


def track(*bitrate: Any, track_id: Any = "mic", **given: Any) -> dict[str, Any]:
    """Return an audio track with the pairs of its bitrate."""
    return {
        "track_id": track_id,
        "track_type": "audio",
        "codec": "opus",
        "bitrate": {"data_points": list(bitrate)},
    } | given


def pairs(*values: float | None, step: int = 10, start: int = TEN) -> list[list[float | None]]:
    """Return data points that are `step` seconds apart."""
    return [[start + step * place, value] for place, value in enumerate(values)]


def nanoseconds(instant: datetime) -> int:
    """Return an instant as `/api/v2` sends it, exact to the microsecond."""
    return (instant - MIDNIGHT) // timedelta(microseconds=1) * 1000 + int(MIDNIGHT.timestamp()) * 10**9


# The folder of raw responses.


def land(landing: Landing, *segments: list[Response], endpoint: EndpointName = METRICS, day: date = DAY) -> None:
    """Land responses, one segment for each list."""

    async def main() -> None:
        async with landing.writer(endpoint, day) as writer:
            for responses in segments:
                for response in responses:
                    await writer.append(response)
                await writer.flush()

    asyncio.run(main())


def landed(landing: Landing, endpoint: EndpointName = METRICS, day: date = DAY) -> list[str]:
    """Return all bodies of a day, in the order of landing."""
    return landing.bodies(endpoint, day, landed_places(landing, endpoint, day))


def landed_places(landing: Landing, endpoint: EndpointName = METRICS, day: date = DAY) -> list[Place]:
    """Return where the bodies of a day are, in the order of landing."""
    return body_places(landing.index(endpoint, day))


# Tables.


class Day:
    """A day of tables, made from responses that land in a folder of their own.

    `windows` are those that should exist. `provenance` and `suspect` (places of suspect responses in the index) are
    what flattening finds beside the rows. Tables of the contract are attributes with their names; `participants`,
    `totals` and `of_other_days` are those of `ListingRows`.
    """

    tracks: pa.Table
    metric_points: pa.Table
    track_warnings: pa.Table

    def __init__(self, folder: Path, *responses: Response, windows: dict[Stay, list[Window]] | None = None) -> None:
        landing = Landing(folder / f"raw{len(list(folder.iterdir())) if folder.exists() else 0}")
        for endpoint in ENDPOINT_NAMES:
            land(landing, [one for one in responses if one.request.endpoint == endpoint], endpoint=endpoint)
        self.provenance = Provenance()
        with BodySql() as sql:
            listings = read_listings(landing, DAY, sql)
        self.of_other_days = listings.of_other_days
        self.call_sessions = listings.call_sessions.drop_columns(["most_publishers", "rated_at"])
        self.participants, self.totals = listings.participants, listings.totals
        index = landing.index(METRICS, DAY)
        with BodySql() as sql:
            batches = list(flatten_metrics(sql, DAY, index, partial(landing.bodies, METRICS, DAY), self.provenance))
            for name in ("tracks", "metric_points", "track_warnings"):
                parts = [getattr(batch, name).cast(TABLES[name].schema) for batch in batches]
                setattr(self, name, pa.concat_tables(parts) if parts else TABLES[name].schema.empty_table())
            findings = [batch.findings for batch in batches]
            self.participant_sessions = participants_table(sql, DAY, listings, findings)
            self.windows = windows_table(sql, DAY, _expected_table(windows or {}), index, findings)
        outcomes = [found.outcomes for found in findings]
        self.suspect = [place for found in outcomes for place in found.filter(found["suspect"])["place"]]

    def all(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of every table."""
        return {name: getattr(self, name).to_pylist() for name in TABLES if hasattr(self, name)}

    def points(self) -> list[tuple[str, str, str, float, float]]:
        """Return (user session, track, metric, seconds since ten o'clock, value) of every point."""
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


def _expected_table(windows: dict[Stay, list[Window]]) -> pa.Table:
    rows = [(*stay.key, window.since, window.until) for stay, expected in windows.items() for window in expected]
    schema = pa.schema([*((name, pa.string()) for name in STAY_KEY), ("since", INSTANT), ("until", INSTANT)])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
