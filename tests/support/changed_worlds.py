"""Worlds for `explain_change`: publishers' stays of two spans, written directly into tables that the macro reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.quality.views import MACROS
from pipeline.sql import read_statement

__all__ = ["AFTER", "BEFORE", "World", "explain", "opened", "stays_of"]

BEFORE, AFTER = date(2026, 11, 1), date(2026, 11, 8)

VALUES: dict[str, tuple[tuple[str, float], ...]] = {
    "network_type": (("wifi", 0.6), ("cellular", 0.3), ("ethernet", 0.1)),
    "country": (("Norway", 0.4), ("Chile", 0.3), ("Kenya", 0.2), ("Japan", 0.1)),
    "client_name": (("web", 0.6), ("ios", 0.25), ("android", 0.15)),
    "client_version": (("1.0", 0.5), ("1.1", 0.3), ("2.0", 0.2)),
    "codec": (("vp8", 0.6), ("h264", 0.3), ("av1", 0.1)),
    "current_sfu": (("sfu-1", 0.5), ("sfu-2", 0.3), ("sfu-3", 0.2)),
}
"""The values of each dimension, with their shares of all stays."""

LEVELS = {"cellular": 0.06, "Kenya": 0.04, "2.0": -0.01, "av1": 0.03}
"""What a value adds to the poor share."""


@dataclass(frozen=True)
class World:
    """What happens in a world between the two spans.

    Attributes:
        seed: of all random numbers.
        stays: publishers' stays in each span.
        people: persons who these stays belong to.
        worse: additions to the poor share after, by value.
        moved: factors on the shares after, by value.
        missing: values that do not exist before.
        follows: (dimension, value, other dimension, other value, odds): with the first value comes the second.
    """

    seed: int
    stays: int = 3000
    people: int = 600
    base: float = 0.05
    worse: dict[str, float] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    follows: Sequence[tuple[str, str, str, str, float]] = ()


def stays_of(world: World) -> dict[str, Any]:
    """Return the stays of a world as columns."""
    random = np.random.default_rng(world.seed)
    luck = random.normal(0, 0.02, world.people)
    spans = []
    for after in (False, True):
        people = random.integers(0, world.people, world.stays)
        columns: dict[str, Any] = {"user_id": people}
        for name, shares in VALUES.items():
            factors = [world.moved.get(value, 1) if after else value not in world.missing for value, _ in shares]
            weights = np.array([share for _, share in shares]) * factors
            columns[name] = random.choice([value for value, _ in shares], world.stays, p=weights / weights.sum())
        for one, value, other, given, odds in world.follows:
            moves = (columns[one] == value) & (random.random(world.stays) < odds)
            columns[other] = np.where(moves, given, columns[other])
        rate = world.base + luck[people]
        for value, level in LEVELS.items():
            rate += level * sum(columns[name] == value for name in VALUES)
        if after:
            for value, level in world.worse.items():
                rate += level * sum(columns[name] == value for name in VALUES)
        columns["poor"] = random.random(world.stays) < rate
        columns["session_date"] = np.full(world.stays, AFTER if after else BEFORE)
        spans.append(columns)
    return {name: np.concatenate([span[name] for span in spans]) for name in spans[0]}


@contextmanager
def opened(columns: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with these stays. `class` may be given; otherwise it follows from `poor`."""
    stays = pa.table(
        {name: pa.array(values, pa.string() if name in VALUES else None) for name, values in columns.items()}
    )
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("stays", stays)
        ids = (
            "session_date, 'default' AS call_type, 'c' AS call_id, 'c' AS call_session_id, "
            "'user-' || user_id AS user_id, 'stay-' || row_number() OVER () AS user_session_id"
        )
        judged = "class" if "class" in columns else "CASE WHEN poor THEN 'poor' ELSE 'good' END AS class"
        database.execute(
            f"CREATE TABLE all_stays AS SELECT {ids}, {judged}, network_type, country, client_name, client_version, "
            "codec, current_sfu FROM stays"
        )
        database.execute(
            "CREATE VIEW participant_quality AS SELECT *, 1 AS tracks, 't' AS worst_track_id, "
            "'camera' AS worst_track_kind FROM all_stays"
        )
        database.execute("CREATE VIEW participant_sessions AS SELECT * FROM all_stays")
        database.execute("CREATE VIEW tracks AS SELECT *, 't' AS track_id, 'video' AS track_type FROM all_stays")
        database.execute("CREATE TABLE track_kinds AS SELECT 'video' AS track_type, 'camera' AS track_kind")
        database.execute(f"CREATE MACRO explain_change{read_statement(MACROS['explain_change'], 'explain_change')}")
        yield database


def explain(database: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the parts of the change from the span before to the span after."""
    query = "FROM explain_change($after, $after, $before, $before)"
    return database.execute(query, {"after": AFTER, "before": BEFORE}).to_arrow_table().to_pylist()
