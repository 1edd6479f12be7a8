"""The values that the tools return. Their fields and descriptions are the schema that an assistant sees.

Instants are UTC, in ISO 8601. How the values are made is in `tables`, `ask`, `calls` and `days`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from pipeline.serving.query import json_text

__all__ = [
    "CallReport",
    "Column",
    "DayStatus",
    "Days",
    "Person",
    "QueryResult",
    "Table",
    "Tables",
    "json_row",
]

Sentences = list[str]
Values = Annotated[dict[str, Any], Field(description="Columns of one row with their values")]


class Column(BaseModel):
    """A column of a result."""

    name: str
    type: str = Field(description="Type in DuckDB")


class TableColumn(Column):
    """A column of a table."""

    comment: str | None = Field(description="What it is, with its unit")


class Table(BaseModel):
    """A published table or view."""

    name: str
    kind: str = Field(description="table or view")
    comment: str | None = Field(description="What one row is")
    rows: int | None = Field(description="Number of rows; null if it is not counted")
    columns: list[TableColumn]


class Tables(BaseModel):
    """The published tables and views."""

    first_day: date | None = Field(description="First session_date in the database (UTC); null if it is empty")
    last_day: date | None = Field(description="Last session_date in the database (UTC)")
    tables: list[Table]


class QueryResult(BaseModel):
    """The result of a query."""

    columns: list[Column]
    rows: list[list[Any]] = Field(description="Values in the order of the columns; not a number is null")
    truncated: str | None = Field(description="Why rows were left out; null if these are all")


class Person(BaseModel):
    """One stay of one person in a call, from joining to leaving."""

    user_id: str | None
    user_session_id: str | None
    joined_at: datetime | None
    left_at: datetime | None
    quality: Values = Field(description="Row of participant_quality; class unclassified is neither good nor bad")
    facts: dict[str, str] = Field(description="Client, network and place")
    tracks: list[Values] = Field(description="Rows of track_quality, worst first; only of the worst stays")
    warnings: list[Values] = Field(description="Warnings from the source, equal ones counted; only of the worst stays")
    lost_time: list[Values] = Field(description="Stretches without a response that could be loaded")


class CallReport(BaseModel):
    """What is known about one call session."""

    session_date: date
    call_type: str
    call_id: str
    call_session_id: str
    started_at: datetime | None
    ended_at: datetime | None
    is_live: bool | None
    problems: Sentences = Field(description="What is missing of the call's data; empty if it is complete")
    notes: Sentences = Field(description="What is not stored and cannot be fetched")
    findings: Sentences = Field(description="What is notable, the most important first")
    only_this_call: Sentences = Field(
        description="Whether others were poor too: incidents, other calls of the day, releases, earlier stays"
    )
    facts: dict[str, str] = Field(description="What the source reports about the call")
    quality: Values = Field(description="Row of call_quality")
    people: list[Person] = Field(description="Stays, worst first")
    people_left_out: int = Field(description="Stays that are not listed; query participant_quality for them")


class DayStatus(BaseModel):
    """What is known, stored and missing of one day."""

    day: date
    complete: bool
    pruned: str | None = Field(description="What was removed of it on purpose: raw (responses) or all; null if nothing")
    calls: int
    live_calls: int
    stays_promised: int = Field(description="Stays that the source reported")
    stays_held: int = Field(description="Stays that are stored")
    windows: dict[str, int] = Field(description="Number of windows (30 minutes of a stay at most) by state")
    windows_due: int = Field(description="Windows that still need a request")
    days_left: int = Field(description="Days until the source forgets the day")
    forgotten_on: datetime | None = Field(description="When the source forgets it first")
    problems: Sentences = Field(description="What is missing; empty if the day is complete")
    call_sessions: list[Values] = Field(description="Rows of ingest_completeness_by_call, if asked for")
    call_sessions_left_out: int


class Days(BaseModel):
    """The status of days, oldest first."""

    days: list[DayStatus]


def _json_safe(value: Any) -> Any:
    """Return a value of DuckDB as JSON has it: instants and dates as text, bytes in hexadecimal, NaN as None."""
    return json.loads(json_text(value))


def json_row(row: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a row with values as JSON has them, without some columns."""
    return {name: _json_safe(value) for name, value in row.items() if name not in without}
