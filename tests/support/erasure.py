"""What tests of erasure share: a call of ann, bob and cat, whose stay can be missing from the source's list."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from pipeline.emulator import CallSpec, Points, StaySpec, TrackSpec, World
from pipeline.extract.client import StreamApi
from pipeline.model import Request, Response
from pipeline.settings import Settings

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 22, tzinfo=UTC)
END = START + timedelta(minutes=50)
AFTERWARDS = datetime(2026, 3, 4, 12, tzinfo=UTC)

WORLD = World(
    (
        CallSpec(
            "default",
            "standup",
            "s1",
            started_at=START,
            ended_at=END,
            participants=tuple(
                StaySpec(
                    user,
                    f"{user}-1",
                    joined_at=START,
                    left_at=END,
                    tracks=(TrackSpec("mic", "audio", "opus", Points.every(30, START, bitrate=tuple(range(100)))),),
                )
                for user in ("ann", "bob", "cat")
            ),
        ),
    )
)


class WithoutCat(StreamApi):
    """A client of a source whose Call Attendance counts cat's stay, but does not list it."""

    async def fetch(self, request: Request) -> Response:
        response = await super().fetch(request)
        if request.endpoint != "participant_sessions" or response.error is not None:
            return response
        body = json.loads(response.body)
        rows = [row for row in body["participants_sessions"] if row["user_id"] != "cat"]
        return replace(response, body=json.dumps(body | {"participants_sessions": rows}))

    @classmethod
    def connect(cls, settings: Settings) -> StreamApi:
        """Return a client for these settings."""
        return cls(settings.base_url, settings.credentials())
