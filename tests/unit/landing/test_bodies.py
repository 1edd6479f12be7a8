"""SQL over response bodies: JSON structures and instants."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints import ENDPOINTS, SERIES, Endpoint, Field, Node
from pipeline.landing.bodies import BodySql
from tests.support import at, examples
from tests.support.responses import Day, attendance_page, nanoseconds


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1793527200123456789, at(10, 0, 0.123456)),
        ("2026-11-01T10:00:00.123456789Z", at(10, 0, 0.123456)),
        ("2026-11-01T12:00:00.5+02:00", at(10, 0, 0.5)),
        (1793527200123456999, at(10, 0, 0.123456)),
        (1793527200123456, at(10, 0, 0.123456)),
        (1793527200123, at(10, 0, 0.123)),
        (1793527200, at(10)),
        (1793527200.25, at(10, 0, 0.25)),
        ("1793527200123456789", at(10, 0, 0.123456)),
        (None, None),
        ("", None),
        ("soon", None),
        (1e300, None),
        (0, None),
        ("0001-01-01T00:00:00Z", None),
        ("99999-01-01T00:00:00Z", None),
        (-90000000000, None),
        ({}, None),
    ],
)
def test_instant_is_read_exactly_from_any_form(given: Any, expected: datetime | None, tmp_path: Path) -> None:
    """Large numbers lose nothing down to the microsecond, and what is not an instant is NULL."""
    row = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": given, "left_at": nanoseconds(at(11))}
    (stay,) = Day(tmp_path, attendance_page(row)).participants.to_pylist()
    assert (stay["joined_at"], stay["left_at"]) == (expected, at(11))


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=30))
@examples(20)
def test_instant_is_the_same_from_nanoseconds_and_rfc_3339(offsets: list[int]) -> None:
    """Both forms of an instant are equal to the microsecond."""
    moments = [at(0) + timedelta(microseconds=offset) for offset in offsets]
    texts = [[str(form(moment)) for moment in moments] for form in (nanoseconds, lambda moment: moment.isoformat())]
    with BodySql() as sql:
        read = [sql.query("SELECT instant(text) AS at FROM texts", texts=pa.table({"text": some})) for some in texts]
    assert [table.column("at").to_pylist() for table in read] == [moments, moments]


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)
def test_body_is_parsed_to_every_field_that_we_read(endpoint: Endpoint) -> None:
    """Each field comes back from its place in the body with its type, and fields that we do not read are left out."""
    body = json.dumps(filled(endpoint.fields, unread="text")).replace(json.dumps(VALUES["JSON"]), VALUES["JSON"])
    with BodySql() as sql:
        rows = sql.query(f"SELECT {endpoint.name}_body(body) AS parsed FROM bodies", bodies=pa.table({"body": [body]}))
    assert rows.column("parsed").to_pylist(maps_as_pydicts="strict") == [filled(endpoint.fields)]


def filled(node: Node, unread: str | None = None) -> Any:
    """Return a body with a value for each field that we read, and `unread`, if given, for each of the others."""
    if isinstance(node, Field):
        return VALUES[node.type]
    if isinstance(node, list):
        return [filled(node[0], unread)]
    if node is None:
        return unread
    return {name: value for name, child in node.items() if (value := filled(child, unread)) not in (None, {})}


VALUES = {
    "VARCHAR": "text",
    "BIGINT": 2**53 + 1,
    "DOUBLE": 0.5,
    "BOOLEAN": True,
    "JSON": '{"a":[1]}',
    "VARCHAR[]": ["a", "b"],
    SERIES.type: [[1.5, 2.0], [3.0, 4.0]],
    "MAP(VARCHAR, DOUBLE[][])": {"bitrate": [[1.5, 2.0], [3.0, 4.0]]},
    "MAP(VARCHAR, STRUCT(label VARCHAR, unit VARCHAR))": {"bitrate": {"label": "Bitrate", "unit": "bps"}},
    "MAP(VARCHAR, STRUCT(level VARCHAR, operator VARCHAR, value DOUBLE, "
    "value_unit VARCHAR, window_seconds BIGINT)[])": {
        "loss": [{"level": "bad", "operator": "gt", "value": 2.5, "value_unit": "%", "window_seconds": 10}]
    },
    "MAP(VARCHAR, STRUCT(track_id VARCHAR, track_type VARCHAR, codec VARCHAR, rid VARCHAR)[])": {
        "video": [{"track_id": "cam", "track_type": "video", "codec": "vp8", "rid": "f"}]
    },
}
"""A value of each type that a field can have."""


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("body", ["", "nonsense", "{", '"text"', "[1]"])
def test_body_that_is_not_a_json_object_is_null(body: str, endpoint: Endpoint) -> None:
    """The macro of an endpoint gives NULL, or only NULLs, and raises no error."""
    with BodySql() as sql:
        rows = sql.query(f"SELECT {endpoint.name}_body(body) AS parsed FROM bodies", bodies=pa.table({"body": [body]}))
    (parsed,) = rows.column("parsed").to_pylist()
    assert parsed is None or set(parsed.values()) == {None}
