"""Predicted ratings: from the emulator to the views of both warehouses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipeline.emulator import (
    CallSpec,
    ClientSpec,
    Emulator,
    ManualClock,
    Points,
    RatingSpec,
    StaySpec,
    TrackSpec,
    World,
)
from pipeline.flow import Flow
from pipeline.quality.ratings.train import FACT
from pipeline.sql import adapted
from pipeline.warehouse.published import open_published

FIRST = date(2026, 3, 1)
DAYS, CALLS, PEOPLE = 6, 6, 8
NOW = ManualClock(datetime(2026, 3, 8, tzinfo=UTC))


def world(*, share: float) -> World:
    """Return days of calls of three minutes; stars follow from the share of time with two frames a second."""
    draw = np.random.default_rng(7)
    calls = []
    for number in range(DAYS * CALLS):
        start = datetime(2026, 3, 1 + number // CALLS, 10, number % CALLS, tzinfo=UTC)
        end = start + timedelta(minutes=3)
        people = []
        for user in range(PEOPLE):
            slow = int(draw.integers(0, 9))
            rates = [2] * slow + [30] * (9 - slow)
            camera = TrackSpec("cam", "video", "vp8", Points.every(20, start, bitrate=[500_000] * 9, framerate=rates))
            stars = int(np.clip(round(5 - 0.45 * slow + draw.normal(0, 0.5)), 1, 5))
            rated = draw.random() < share
            people.append(
                StaySpec(
                    f"user-{user}",
                    f"stay-{number}-{user}",
                    joined_at=start,
                    left_at=end,
                    tracks=(camera,),
                    client=ClientSpec(name="web", version="1", network_type="wifi"),
                    ratings=(RatingSpec(end, stars),) if rated else (),
                )
            )
        calls.append(CallSpec("default", f"{number}", f"s{number}", start, end, participants=tuple(people)))
    return World(tuple(calls))


def backfilled(flow: Flow) -> Flow:
    """Run all days as a backfill does."""
    with flow.publishing_seldom():
        for back in range(DAYS):
            flow.run(FIRST + timedelta(days=back))
    return flow


def asked(flow: Flow, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the published database."""
    with open_published(flow.settings.warehouse) as database:
        return database.execute(adapted(database, query)).fetchall()


def test_every_judged_stay_has_a_prediction(warehouse_setting: str, flow_for: Callable[..., Flow]) -> None:
    """The view computes what the model says, for rated and silent stays, in a file and in a lake."""
    with Emulator(world(share=0.8), clock=NOW) as emulator:
        flow = backfilled(flow_for(emulator, warehouse_file=warehouse_setting))
        ((abstained, ratings, response_rate, error),) = asked(
            flow, "SELECT abstained_because, ratings, response_rate, calibration_error FROM rating_model"
        )
        assert abstained is None
        assert ratings == asked(flow, "SELECT count(*) FROM user_ratings")[0][0] >= 200
        assert response_rate == pytest.approx(ratings / (DAYS * CALLS * PEOPLE))
        assert error < 0.3
        rows = asked(
            flow,
            "SELECT predicted_rating, low, high, features FROM predicted_ratings INNER JOIN rated_stays "
            "USING (session_date, call_type, call_id, call_session_id, user_id, user_session_id)",
        )
        assert len(rows) == DAYS * CALLS * PEOPLE
        ((text,),) = asked(flow, f"SELECT value FROM store.meta WHERE name = '{FACT}'")
        model = json.loads(text)
        for predicted, low, high, features in rows:
            score = model["intercept"] + sum(
                term["weight"] * (features[term["feature"]] - term["center"])
                for term in model["terms"]
                if features[term["feature"]] is not None
            )
            assert predicted == pytest.approx(np.interp(score, model["scores"], model["stars"]))
            assert 1 <= low <= predicted <= high <= 5
        drivers = dict(asked(flow, "SELECT feature, stars FROM rating_drivers"))
        assert drivers["low_framerate_share"] < 0
        before = asked(flow, "SELECT avg(predicted_rating) FROM predicted_ratings")
        flow.rebuild([FIRST])
        assert asked(flow, "SELECT avg(predicted_rating) FROM predicted_ratings") == [pytest.approx(before[0])]


def test_few_ratings_give_a_sentence_and_no_prediction(flow_for: Callable[..., Flow]) -> None:
    """The view says how many there are and how many are needed."""
    with Emulator(world(share=0.3), clock=NOW) as emulator:
        flow = backfilled(flow_for(emulator))
        ((ratings,),) = asked(flow, "SELECT count(*) FROM user_ratings")
        assert asked(flow, "SELECT abstained_because FROM rating_model") == [
            (f"there are {ratings} rated stays, and a model needs 200",)
        ]
        assert asked(flow, "FROM predicted_ratings") == asked(flow, "FROM rating_drivers") == []
