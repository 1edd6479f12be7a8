"""The parameters of a request, read and checked against the specification: filters, sorting, time windows.

Each becomes a plain value, or a 400 if it is wrong. Pages have a module of their own, `paging`. The data that the
parameters select is in `list_documents` and `metrics_document`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from ..world.timestamps import parse_rfc3339, to_micros
from .errors import bad_input

MAX_WINDOW: Final = timedelta(minutes=30)
"""The widest window of Participant Metrics (Stream's documentation)."""

DEFAULT_WINDOW: Final = timedelta(minutes=1)
"""The window of a request without bounds: the last minute (Stream's documentation)."""

MAX_POINTS: Final = 4096
"""The most points of a series of participant details (specification)."""

DEFAULT_POINTS: Final = 300
"""The points of a series if a request names no limit; not documented."""

FAR_FUTURE_US: Final = 2**62
"""Microseconds: later than anything that happens in a world."""

COMPARISONS: Final = ("$eq", "$gt", "$gte", "$lt", "$lte")

FilterFields = Mapping[str, tuple[str, tuple[str, ...]]]
"""The fields that a filter may name, with the type of the value and the operators of each."""

CALL_FILTERS: Final[FilterFields] = {
    "session_started_at": ("date", COMPARISONS),
    "session_ended_at": ("date", COMPARISONS),
    "generated_at": ("date", COMPARISONS),
    "updated_at": ("date", COMPARISONS),
    "call_cid": ("string", ("$eq",)),
    "call_session_id": ("string", ("$eq",)),
    "is_active": ("boolean", ("$eq",)),
    "counts.avg_user_rating": ("number", COMPARISONS),
    "counts.cq_score": ("number", COMPARISONS),
    "counts.min_user_rating": ("number", COMPARISONS),
}
PARTICIPANT_FILTERS: Final[FilterFields] = {
    "is_live": ("boolean", ("$eq",)),
    "is_tech_user": ("boolean", ("$eq",)),
    "published_tracks": ("string", ("$eq", "$in")),
    "publisher_type": ("string", ("$eq", "$in")),
    "session_id": ("string", ("$eq", "$in")),
    "user_id": ("string", ("$eq", "$in")),
}
FEEDBACK_FILTERS: Final[FilterFields] = {
    "call_cid": ("string", ("$eq",)),
    "session_id": ("string", ("$eq",)),
    "user_id": ("string", ("$eq",)),
    "rating": ("number", COMPARISONS),
}
SORT_FIELDS: Final = ("generated_at", "updated_at", "session_started_at", "session_ended_at")

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$gt": lambda value, wanted: value > wanted,
    "$gte": lambda value, wanted: value >= wanted,
    "$lt": lambda value, wanted: value < wanted,
    "$lte": lambda value, wanted: value <= wanted,
    "$in": lambda value, wanted: value in wanted,
}
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {"string": str, "boolean": bool, "number": (int, float)}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: a field, an operator, and the value wanted (dates in microseconds since the epoch)."""

    field: str
    operator: str
    wanted: Any

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds: never for a missing field, and for a set if it holds for any member."""
        value = values.get(self.field)
        if value is None:
            return False
        compare = _OPERATORS[self.operator]
        if isinstance(value, frozenset):
            return any(compare(member, self.wanted) for member in value)
        return compare(value, self.wanted)


def parse_json(name: str, text: str | None) -> object:
    """Return the content of a query parameter that is JSON, or None without one."""
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        raise bad_input(f"{name} must be JSON") from None


def parse_filter(given: object, allowed: FilterFields) -> tuple[Condition, ...]:
    """Return the conditions of a filter, all of which must hold. `{"field": value}` means `$eq`."""
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise bad_input("filter_conditions must be an object")
    conditions: list[Condition] = []
    for field, wanted in given.items():
        if field not in allowed:
            raise bad_input(f"filter field {field} is not supported")
        kind, operators = allowed[field]
        comparisons = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        for operator, value in comparisons.items():
            if operator not in operators:
                raise bad_input(f"operator {operator} is not supported for field {field}")
            conditions.append(Condition(field, operator, _parse_wanted(field, kind, operator, value)))
    return tuple(conditions)


def _parse_wanted(field: str, kind: str, operator: str, value: object) -> Any:
    if operator == "$in":
        if not isinstance(value, list):
            raise bad_input(f"operator $in of field {field} needs a list")
        return tuple(_parse_wanted(field, kind, "$eq", one) for one in value)
    if kind == "date":
        date = parse_rfc3339(value) if isinstance(value, str) else None
        if date is None:
            raise bad_input(f"field {field} expects a date in RFC 3339 format")
        return to_micros(date)
    if not isinstance(value, _TYPES[kind]) or (kind == "number" and isinstance(value, bool)):
        raise bad_input(f"field {field} expects a value of type {kind}")
    return value


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of call sessions: by a time field, then by call_cid; each direction is 1 or -1."""

    field: str
    direction: int
    cid_direction: int = 1

    @property
    def name(self) -> str:
        """The order in one word, for cursors."""
        return f"{self.field}:{self.direction}:{self.cid_direction}"


def parse_sort(given: object) -> Sort:
    """Return the order of a request. The default, newest report first, is undocumented: clients must not rely on it."""
    if not given:
        return Sort("generated_at", -1)
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise bad_input("sort must be a list of objects")
    if len(given) > 2:
        raise bad_input("sort must contain at most 2 items")
    fields = [one.get("field") for one in given]
    directions = [one.get("direction") or 1 for one in given]
    if any(direction not in (1, -1) for direction in directions):
        raise bad_input("sort direction must be 1 or -1")
    if fields[0] not in SORT_FIELDS or (len(fields) == 2 and fields[1] != "call_cid"):
        raise bad_input(f"sorting by {', '.join(map(str, fields))} is not supported")
    return Sort(fields[0], *directions)


def parse_window(since: str | None, until: str | None, now: datetime) -> tuple[int, int]:
    """Return the window in microseconds since the epoch, at most 30 minutes wide; without bounds the last minute."""
    start, end = _parse_bound("since", since), _parse_bound("until", until)
    if end is None:
        end = now if start is None else min(now, start + MAX_WINDOW)
    if start is None:
        start = end - DEFAULT_WINDOW
    if end <= start:
        raise bad_input("until must be after since")
    if end - start > MAX_WINDOW:
        raise bad_input("time range must not exceed 30 minutes")
    return to_micros(start), to_micros(end)


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The window of participant details. Its bounds are in microseconds since the epoch."""

    since: int
    until: int
    step_seconds: int
    max_points: int


def parse_timeframe(query: Mapping[str, str], since: datetime, until: datetime) -> Timeframe:
    """Return the window of a request; without bounds it is from `since` to `until`.

    The specification limits `max_points`. That the step grows with the window so that no series has more points is
    inferred from its name and from `step_seconds`.
    """
    start, end = (_parse_bound(name, query.get(name)) or bound for name, bound in (("since", since), ("until", until)))
    if end <= start:
        raise bad_input("until must be after since")
    text = query.get("max_points", str(DEFAULT_POINTS))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_POINTS:
        raise bad_input(f"max_points must be between 1 and {MAX_POINTS}")
    step = max(1, -(-round((end - start).total_seconds()) // int(text)))
    return Timeframe(to_micros(start), to_micros(end), step, int(text))


def parse_timeline_span(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the bounds of a timeline in microseconds since the epoch, both included; without them, all of it.

    That the bounds are optional is in the specification. Their form, and what is returned without them, is inferred.
    """
    bounds = [_parse_bound(name, query.get(name)) for name in ("start_time", "end_time")]
    since, until = (to_micros(bound) if bound is not None else None for bound in bounds)
    if since is not None and until is not None and until < since:
        raise bad_input("end_time must not be before start_time")
    return (0 if since is None else since), (FAR_FUTURE_US if until is None else until)


def _parse_bound(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    bound = parse_rfc3339(text)
    if bound is None:
        raise bad_input(f"{name} must be a date in RFC 3339 format")
    return bound
