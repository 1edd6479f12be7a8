"""Pages of a sorted list, and the cursors that lead from one to the next.

The list itself is made and sorted in `list_documents`.

A cursor names the row at which it is, so rows that come or go elsewhere shift nothing. It also names the order of the
list, and is refused with another one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from .errors import bad_input

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 25

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page that a request wants: its size, and at most one of the two cursors."""

    limit: int
    next: str | None = None
    prev: str | None = None


def parse_page(given: Mapping[str, Any]) -> PageRequest:
    """Return the page from the parameters `limit`, `next` and `prev`; raise a 400 if one is wrong."""
    following, preceding = (given.get(name) or None for name in ("next", "prev"))
    if not isinstance(following, str | None) or not isinstance(preceding, str | None):
        raise bad_input("next and prev must be strings")
    if following and preceding:
        raise bad_input("next and prev cannot be used together")
    return PageRequest(_parse_limit(given.get("limit")), following, preceding)


def _parse_limit(given: object) -> int:
    """Return the maximum number of rows of a page, 1 to 100. Nothing and zero mean the default."""
    if given is None or given == "":
        return DEFAULT_LIMIT
    try:
        limit = int(given) if isinstance(given, str | int) and not isinstance(given, bool) else -1
    except ValueError:
        limit = -1
    if not 0 <= limit <= MAX_LIMIT:
        raise bad_input(f"limit must be between 0 and {MAX_LIMIT}")
    return limit or DEFAULT_LIMIT


def paginate(
    rows: Sequence[Row], key: Callable[[Row], tuple[str, ...]], order: str, page: PageRequest
) -> tuple[Sequence[Row], dict[str, str]]:
    """Return the rows of a page and the cursors that belong into its document (`next`, `prev`).

    Args:
        rows: all rows, sorted.
        key: returns what identifies a row.
        order: name of the order in which the rows are sorted.
        page: the page to return.
    """
    start, stop = 0, page.limit
    if page.next:
        after = _read_cursor(page.next, order)
        start = next((place + 1 for place, row in enumerate(rows) if key(row) == after), len(rows))
        stop = start + page.limit
    elif page.prev:
        before = _read_cursor(page.prev, order)
        stop = next((place for place, row in enumerate(rows) if key(row) == before), 0)
        start = max(0, stop - page.limit)
    chosen = rows[start:stop]
    cursors = {}
    if chosen and stop < len(rows):
        cursors["next"] = _write_cursor(key(chosen[-1]), order)
    if chosen and start:
        cursors["prev"] = _write_cursor(key(chosen[0]), order)
    return chosen, cursors


def _write_cursor(key: tuple[str, ...], order: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order, key])).decode().rstrip("=")


def _read_cursor(text: str, order: str) -> tuple[Any, ...]:
    try:
        made_for, key = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise bad_input("cursor is not valid") from None
    if made_for != order or not isinstance(key, list):
        raise bad_input("cursor was made for another query")
    return tuple(key)
