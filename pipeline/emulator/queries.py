"""Queries: what a request asks for, read and checked against the specification.

Here: filters, sorting, paging and time windows, each as a plain value, and the 400 that a wrong one earns. Not here:
the data they select from (``answers``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import orjson

from .errors import bad_input
from .instants import MICROSECOND, micros, parse_rfc3339

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 25
WIDEST: Final = timedelta(minutes=30)
LAST_MINUTE: Final = timedelta(minutes=1)

ORDERED: Final = ("$eq", "$gt", "$gte", "$lt", "$lte")
CALL_FILTERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "session_started_at": ("date", ORDERED),
    "session_ended_at": ("date", ORDERED),
    "generated_at": ("date", ORDERED),
    "updated_at": ("date", ORDERED),
    "call_cid": ("string", ("$eq",)),
    "call_session_id": ("string", ("$eq",)),
    "is_active": ("boolean", ("$eq",)),
    "counts.avg_user_rating": ("number", ORDERED),
    "counts.cq_score": ("number", ORDERED),
    "counts.min_user_rating": ("number", ORDERED),
}
PARTICIPANT_FILTERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "is_live": ("boolean", ("$eq",)),
    "is_tech_user": ("boolean", ("$eq",)),
    "published_tracks": ("string", ("$eq", "$in")),
    "publisher_type": ("string", ("$eq", "$in")),
    "session_id": ("string", ("$eq", "$in")),
    "user_id": ("string", ("$eq", "$in")),
}
SORT_FIELDS: Final = ("generated_at", "updated_at", "session_started_at", "session_ended_at")

Test = Callable[[Any, Any], bool]
_TESTS: Final[Mapping[str, Test]] = {
    "$eq": lambda have, want: have == want,
    "$gt": lambda have, want: have > want,
    "$gte": lambda have, want: have >= want,
    "$lt": lambda have, want: have < want,
    "$lte": lambda have, want: have <= want,
    "$in": lambda have, want: have in want,
}
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {"string": str, "boolean": bool, "number": (int, float)}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: a field, an operator, what to compare with (dates in microseconds since the epoch)."""

    field: str
    operator: str
    wanted: Any

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds; a missing field fulfils nothing, and a set does where any member does."""
        have = values.get(self.field)
        if have is None:
            return False
        test = _TESTS[self.operator]
        return any(test(one, self.wanted) for one in have) if isinstance(have, frozenset) else test(have, self.wanted)


def read_filter(
    operation: str, given: object, allowed: Mapping[str, tuple[str, tuple[str, ...]]]
) -> tuple[Condition, ...]:
    """The conditions of a filter, all of which must hold; ``{"field": value}`` means ``$eq``."""
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise bad_input(operation, "filter_conditions must be an object")
    conditions: list[Condition] = []
    for field, wanted in given.items():
        if field not in allowed:
            raise bad_input(operation, f"filter field {field} is not supported")
        kind, operators = allowed[field]
        comparisons = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        for operator, value in comparisons.items():
            if operator not in operators:
                raise bad_input(operation, f"operator {operator} is not supported for field {field}")
            conditions.append(Condition(field, operator, _wanted(operation, field, kind, operator, value)))
    return tuple(conditions)


def _wanted(operation: str, field: str, kind: str, operator: str, value: object) -> Any:
    if operator == "$in":
        if not isinstance(value, list):
            raise bad_input(operation, f"operator $in of field {field} needs a list")
        return tuple(_wanted(operation, field, kind, "$eq", one) for one in value)
    if kind == "date":
        instant = parse_rfc3339(value) if isinstance(value, str) else None
        if instant is None:
            raise bad_input(operation, f"field {field} expects a date in RFC 3339 format")
        return micros(instant)
    if not isinstance(value, _TYPES[kind]) or (kind == "number" and isinstance(value, bool)):
        raise bad_input(operation, f"field {field} expects a value of type {kind}")
    return value


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of call sessions: a time field, whether call_cid breaks ties, and both directions (1 or -1)."""

    field: str
    direction: int
    cid_direction: int = 1

    @property
    def name(self) -> str:
        """The order in one word, for cursors."""
        return f"{self.field}:{self.direction}:{self.cid_direction}"


def read_sort(operation: str, given: object) -> Sort:
    """The order asked for; without one the newest report comes first (undocumented, so nothing should rest on it)."""
    if not given:
        return Sort("generated_at", -1)
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise bad_input(operation, "sort must be a list of objects")
    if len(given) > 2:
        raise bad_input(operation, "sort must contain at most 2 items")
    fields = [one.get("field") for one in given]
    directions = [one.get("direction") or 1 for one in given]
    if any(direction not in (1, -1) for direction in directions):
        raise bad_input(operation, "sort direction must be 1 or -1")
    if fields[0] not in SORT_FIELDS or (len(fields) == 2 and fields[1] != "call_cid"):
        raise bad_input(operation, f"sorting by {', '.join(map(str, fields))} is not supported")
    return Sort(fields[0], directions[0], directions[1] if len(directions) == 2 else 1)


def read_limit(operation: str, given: object) -> int:
    """Rows a page may hold: 1 to 100; nothing and zero mean the default."""
    if given is None or given == "":
        return DEFAULT_LIMIT
    try:
        limit = int(given) if isinstance(given, str | int) and not isinstance(given, bool) else -1
    except ValueError:
        limit = -1
    if not 0 <= limit <= MAX_LIMIT:
        raise bad_input(operation, f"limit must be between 0 and {MAX_LIMIT}")
    return limit or DEFAULT_LIMIT


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page:
    """A page wanted: its size, and the cursors as received, at most one of them."""

    limit: int
    next: str | None = None
    prev: str | None = None


def read_page(operation: str, limit: object, next_: object, prev: object) -> Page:
    """A page from its three parameters."""
    cursors = [cursor or None for cursor in (next_, prev)]
    if any(cursor is not None and not isinstance(cursor, str) for cursor in cursors):
        raise bad_input(operation, "next and prev must be strings")
    if all(cursors):
        raise bad_input(operation, "next and prev cannot be used together")
    return Page(read_limit(operation, limit), *map(_text_or_none, cursors))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def turn(
    operation: str, rows: Sequence[Row], key: Callable[[Row], list[Any]], order: str, page: Page
) -> tuple[Sequence[Row], str | None, str | None]:
    """The rows of a page out of sorted rows, with the cursors of the next and the previous one.

    A cursor names the row it stands at, so rows that come or go elsewhere shift nothing. It also names the order it was
    made under; under another one it is refused.
    """
    start = 0
    if page.next:
        after = _cursor(operation, page.next, order)
        start = next((place + 1 for place, row in enumerate(rows) if key(row) == after), len(rows))
    elif page.prev:
        before = _cursor(operation, page.prev, order)
        stop = next((place for place, row in enumerate(rows) if key(row) == before), 0)
        start = max(0, stop - page.limit)
        page = Page(stop - start)
    chosen = rows[start : start + page.limit]
    following = _written(key(chosen[-1]), order) if chosen and start + page.limit < len(rows) else None
    preceding = _written(key(chosen[0]), order) if chosen and start else None
    return chosen, following, preceding


def _written(place: list[Any], order: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order, place])).decode().rstrip("=")


def _cursor(operation: str, text: str, order: str) -> list[Any]:
    try:
        made_under, place = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise bad_input(operation, "cursor is not valid") from None
    if made_under != order or not isinstance(place, list):
        raise bad_input(operation, "cursor was made for another query")
    return place


def read_window(operation: str, since: str | None, until: str | None, now: datetime) -> tuple[int, int]:
    """The window asked for, in microseconds; without bounds the last minute, and never wider than 30 minutes."""
    start, end = (_bound(operation, name, text) for name, text in (("since", since), ("until", until)))
    if end is None:
        end = now if start is None else min(now, start + WIDEST)
    if start is None:
        start = end - LAST_MINUTE
    if end <= start:
        raise bad_input(operation, "until must be after since")
    if end - start > WIDEST:
        raise bad_input(operation, "time range must not exceed 30 minutes")
    return micros(start), micros(start) + (end - start) // MICROSECOND


def _bound(operation: str, name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    instant = parse_rfc3339(text)
    if instant is None:
        raise bad_input(operation, f"{name} must be a date in RFC 3339 format")
    return instant
