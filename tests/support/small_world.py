"""A small world for tests of views and reports: the tables of one day written by hand, loaded like any other day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.schema import METRICS, TABLES
from pipeline.warehouse.load import Warehouse
from pipeline.warehouse.pivot import SERIES_KEY
from tests.support import DAY, MIDNIGHT

IDS = {"session_date": DAY, "call_type": "default", "call_id": "standup", "call_session_id": "s1"}

Points = Mapping[str, Iterable[tuple[float, float]]]
"""By metric: seconds after midnight, and the value at that instant."""

Query = Callable[[str], list[dict[str, Any]]]
"""Returns the rows of a query on a world."""


def seconds(after: float) -> datetime:
    """Return the instant `after` seconds past midnight (UTC) of the day."""
    return MIDNIGHT + timedelta(seconds=after)


def steady(
    since: int, until: int, step: int = 5, *, bitrate: float = 1e6, framerate: float | None = 30, height: int = 720
) -> Points:
    """Return a point of each metric every `step` seconds, both ends included. No frame rate means audio."""
    instants = range(since, until + 1, step)
    values: dict[str, float] = {"bitrate": bitrate}
    if framerate is not None:
        values |= {"framerate": framerate, "resolution_width": height * 16 / 9, "resolution_height": height}
    return {metric: [(instant, value) for instant in instants] for metric, value in values.items()}


def both(*parts: Points) -> Points:
    """Return the points of several stretches of one track."""
    return {metric: [point for part in parts for point in part.get(metric, ())] for metric in METRICS}


def rows_of(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, each as a dictionary."""
    return database.execute(sql).to_arrow_table().to_pylist()


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only row."""
    (row,) = rows
    return row


@dataclass
class SmallWorld:
    """Rows of one day. It is a source that a warehouse can be loaded from, as the lake is."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def call(self, call: str = "s1", **columns: Any) -> None:
        """Add a call session."""
        given = {"started_at": seconds(0), "ended_at": seconds(3600), "is_live": False} | columns
        self.rows["call_sessions"].append(IDS | {"call_session_id": call, "call_cid": "default:standup"} | given)

    def stay(self, user: str = "ann", since: float = 0, until: float | None = 60, **columns: Any) -> None:
        """Add a user session. Its id is that of the user unless another is given."""
        left_at = None if until is None else seconds(until)
        row = IDS | {"user_id": user, "user_session_id": user, "joined_at": seconds(since), "left_at": left_at}
        self.rows["participant_sessions"].append(row | columns)

    def track(
        self, points: Points, track: str = "cam", kind: str | None = "video", codec: str = "vp8", **ids: Any
    ) -> None:
        """Add a published track of a stay (`user_id`, `user_session_id`, `call_session_id`; by default ann's)."""
        user = ids.get("user_id", "ann")
        key = IDS | {"user_id": user, "user_session_id": user} | ids | {"track_id": track, "track_type": kind}
        flat = [
            key | {"codec": codec, "metric": metric, "timestamp": seconds(instant), "value": float(value)}
            for metric, series in points.items()
            for instant, value in series
        ]
        self.rows["metric_points"] += flat
        instants = [row["timestamp"] for row in flat]
        known = [row for row in self.rows["tracks"] if all(row[name] == value for name, value in key.items())]
        if known:
            known[0]["codec"] = codec
            instants += [known[0]["first_point_at"], known[0]["last_point_at"]]
        else:
            known = [key | {"codec": codec}]
            self.rows["tracks"] += known
        known[0]["first_point_at"] = min(instants, default=None)
        known[0]["last_point_at"] = max(instants, default=None)

    def warning(self, after: float, track: str = "cam", kind: str = "video", user: str = "ann") -> None:
        """Add a warning on a track."""
        ids = {"user_id": user, "user_session_id": user, "track_id": track, "track_type": kind}
        self.rows["track_warnings"].append(IDS | ids | {"time": seconds(after), "code": "X", "warning": "slow"})

    def load(self, folder: Path, thresholds: Path | None = None) -> duckdb.DuckDBPyConnection:
        """Load the world, and return the published database, open for reading and writing."""
        writer = folder / "writer.duckdb"
        if not writer.exists():
            writer.write_bytes(empty_database())
        Warehouse(folder / "published.duckdb", writer, thresholds=thresholds).load(self, self.days())
        database = duckdb.connect(str(folder / "published.duckdb"), config={"threads": 2})
        database.execute("SET TimeZone = 'UTC'")
        return database

    # The protocol `pipeline.warehouse.load.Source`.

    def fingerprint(self, table: str, day: date) -> str | None:
        return "made by hand" if day == DAY else None

    def read(self, table: str, day: date) -> pa.Table:
        return self._table(table)

    def chunks(self, table: str, day: date, *, dictionaries: Sequence[str] = ()) -> Iterator[pa.Table]:
        rows = self._table(table)
        encoded = [name for name in rows.schema.names if name in {*SERIES_KEY, "metric"} & set(dictionaries)]
        for name in encoded:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, name, rows.column(name).dictionary_encode())
        if rows.num_rows:
            yield rows

    def days(self) -> list[date]:
        return [DAY] if any(self.rows.values()) else []

    def _table(self, name: str) -> pa.Table:
        table = TABLES[name]
        order = [(column, "ascending") for column in table.key]
        return pa.Table.from_pylist(self.rows[name], table.schema).sort_by(order)


@cache
def empty_database() -> bytes:
    """Return a writer's database without a day. Creating its views for each test would take most of the time."""
    with TemporaryDirectory() as folder:
        published = Path(folder) / "published.duckdb"
        Warehouse(published, Path(folder) / "writer.duckdb").load(SmallWorld(), [])
        return published.read_bytes()
