"""Landing: any responses come back as they were."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.landing import segment as segment_module
from pipeline.landing.landing import Landing
from pipeline.model import Call, Request, Response, Stay, Window
from tests.support import DAY, examples
from tests.support.responses import METRICS, land, landed_places

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
INSTANTS = st.integers(0, 10**16).map(lambda number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number))
STAYS = st.builds(Stay, st.builds(Call, TEXTS, TEXTS, TEXTS), TEXTS, TEXTS)
RESPONSES = st.builds(
    Response,
    request=st.builds(
        Request,
        endpoint=st.just(METRICS),
        session_date=st.just(DAY),
        stay=STAYS,
        window=st.builds(Window, INSTANTS, INSTANTS),
        listing=st.none() | TEXTS,
        page=st.integers(0, 2**31 - 1),
        cursor=st.none() | TEXTS,
    ),
    status=st.none() | st.integers(100, 599),
    body=TEXTS,
    attempts=st.integers(0, 9),
    fetched_at=INSTANTS,
    error=st.none() | TEXTS,
    next_cursor=st.none() | TEXTS,
    publishes=st.none() | st.booleans(),
)
FOLDERS = itertools.count()


@given(segments=st.lists(st.lists(RESPONSES, max_size=6), max_size=4), seed=st.randoms(use_true_random=False))
@examples(40)
def test_landing_returns_any_responses_as_they_were(
    segments: list[list[Response]], seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses come back in the order of landing, and bodies in whatever order they are read."""
    monkeypatch.setattr(segment_module, "ROW_GROUP_BYTES", 50)
    landing = Landing(tmp_path / str(next(FOLDERS)))
    land(landing, *segments)
    given = [one for responses in segments for one in responses]
    found = landed_places(landing)
    index = landing.index(METRICS, DAY).to_pylist()
    bodies = landing.bodies(METRICS, DAY, found)
    back = [
        Response(
            Request(
                row["endpoint"],
                row["session_date"],
                stay=Stay(
                    Call(row["call_type"], row["call_id"], row["call_session_id"]),
                    row["user_id"],
                    row["user_session_id"],
                ),
                window=Window(row["since"], row["until"]),
                listing=row["listing"],
                page=row["page"],
                cursor=row["cursor"],
            ),
            **{name: row[name] for name in ("status", "attempts", "fetched_at", "error", "next_cursor", "publishes")},
            body=body,
        )
        for row, body in zip(index, bodies, strict=True)
    ]
    assert back == given
    order = list(range(len(found)))
    seed.shuffle(order)
    assert landing.bodies(METRICS, DAY, [found[place] for place in order]) == [given[place].body for place in order]
