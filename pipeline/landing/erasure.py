"""People who are erased on request: the list of them, and how they are removed from raw responses.

Only a salted hash of the user id is kept, so that later responses about the person can be recognized and left out. An
erased person leaves a mark in pages that list people, `{"forgotten": "<hash>"}`, so that the source's totals still add
up. What the source itself drops after 90 days is a different thing: see `RETENTION`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.endpoints import ENDPOINTS, ERASED, EndpointName
from pipeline.errors import FixStorage
from pipeline.storage import StoredFile, as_file

__all__ = ["ErasedUsers"]

MAX_DIGITS = 4300
"""Digits of the longest number that Python reads by default."""

_BETWEEN = re.compile(r"[\s/:;,|=()\[\]\"']+")
"""What can stand between a user id and other text."""


@dataclass(frozen=True)
class ErasedUsers:
    """The erased users of a data folder, as salted SHA-256 hashes of their ids, in a small JSON file."""

    salt: str
    users: frozenset[str]

    @classmethod
    def read(cls, file: Path | StoredFile) -> ErasedUsers:
        """Read the list; without a file it is empty. Raises `FixStorage` if the file cannot be read."""
        try:
            stored = json.loads(as_file(file).read_bytes().decode())
            if not isinstance(stored["salt"], str) or not isinstance(stored["users"], list):
                raise TypeError
            return cls(stored["salt"], frozenset(map(str, stored["users"])))
        except FileNotFoundError:
            return cls(secrets.token_hex(16), frozenset())
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise FixStorage(f"{file} cannot be read; restore it: it lists the users who must not be kept") from None

    def write(self, file: Path | StoredFile) -> None:
        """Store the list. Raises `FixStorage`."""
        text = json.dumps({"salt": self.salt, "users": sorted(self.users)})
        try:
            as_file(file).replace(text.encode())
        except OSError as error:
            raise FixStorage(f"{file} cannot be written ({error.strerror}); fix it and run again") from None

    def with_user(self, user_id: str) -> ErasedUsers:
        """Return the list with one more user."""
        return ErasedUsers(self.salt, self.users | {self.digest(user_id)})

    def digest(self, user_id: str) -> str:
        """Return the hash that is kept of a user id."""
        return hashlib.sha256(f"{self.salt}:{user_id}".encode()).hexdigest()

    def includes(self, user_id: object) -> bool:
        """Return whether this user is erased."""
        return bool(self.users) and isinstance(user_id, str) and self.digest(user_id) in self.users

    def strike_page(self, endpoint: EndpointName, body: str) -> str:
        """Return a page of an endpoint that lists people with a mark in place of each erased person.

        Returns the body unchanged if it lists no erased person, or if it is not such a page.
        """
        rows = ENDPOINTS[endpoint].rows
        try:
            page = json.loads(body, parse_int=_integer)
            listed = page[rows]
        except (ValueError, KeyError, TypeError, RecursionError):
            return body
        if not isinstance(listed, list) or not any(self.includes(_user_id(row)) for row in listed):
            return body
        page[rows] = [self._mark(row) if self.includes(_user_id(row)) else row for row in listed]
        return json.dumps(page, ensure_ascii=False, separators=(",", ":"))

    def strike_subscriptions(self, body: str) -> str:
        """Return a response of participant details without what the person received of erased people.

        Returns the body unchanged if there is none, or if it is not such a response.
        """
        try:
            response = json.loads(body, parse_int=_integer)
            subscriptions = response["subscriber"]["subscriptions"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return body
        if not isinstance(subscriptions, list):
            return body
        kept = [one for one in subscriptions if not self.includes(_user_id(one, "publisher_user_id"))]
        if len(kept) == len(subscriptions):
            return body
        response["subscriber"]["subscriptions"] = kept
        return json.dumps(response, ensure_ascii=False, separators=(",", ":"))

    def strike_events(self, body: str) -> str:
        """Return a response of a participant timeline without the events that name an erased person.

        What the data of an event contain is not documented. An event names a person if the user id is a text in it, or
        a part of one between spaces, slashes, colons, commas or the like. Returns the body unchanged if there is none,
        or if it is not such a response.
        """
        try:
            response = json.loads(body, parse_int=_integer)
            events = response["events"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return body
        if not isinstance(events, list):
            return body
        kept = [event for event in events if not self.is_named_in(event)]
        if len(kept) == len(events):
            return body
        response["events"] = kept
        return json.dumps(response, ensure_ascii=False, separators=(",", ":"))

    def is_named_in(self, value: object) -> bool:
        """Return whether a JSON value names an erased person, as `strike_events` says."""
        return any(self.includes(part) for part in _parts(value))

    def strike_mentions(self, endpoint: EndpointName, body: str) -> str:
        """Return a response about another person without what it says of erased people."""
        if endpoint == "participant_timeline":
            return self.strike_events(body)
        return self.strike_subscriptions(body) if endpoint == "participant_details" else body

    def strike_others(self, endpoint: EndpointName, responses: pa.Table) -> pa.Table:
        """Return raw responses of an endpoint about one person each, without erased people and mentions of them."""
        kept = self.strike_responses(responses)
        bodies = kept.column("body").to_pylist()
        return _with_bodies(kept, [self.strike_mentions(endpoint, body) for body in bodies])

    def strike_pages(self, responses: pa.Table) -> pa.Table:
        """Return raw responses (columns of `RAW_SCHEMA`) of endpoints that list people, with marks in their pages."""
        rows = zip(*(responses.column(name).to_pylist() for name in ("endpoint", "body")), strict=True)
        return _with_bodies(responses, [self.strike_page(endpoint, body) for endpoint, body in rows])

    def strike_responses(self, responses: pa.Table) -> pa.Table:
        """Return raw responses about one person each without those about erased people."""
        users = responses.column("user_id").to_pylist()
        return responses.filter(pa.array([not self.includes(user) for user in users], pa.bool_()))

    def _mark(self, row: dict[str, Any]) -> dict[str, str]:
        return {ERASED: self.digest(f"{row.get('user_id')}/{row.get('user_session_id', '')}")}


def _integer(digits: str) -> int | None:
    """Return a number; None for one with more digits than Python reads, which no column can hold either."""
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _parts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, names of fields too, whole and in parts."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            yield one
            yield from _BETWEEN.split(one)


def _with_bodies(responses: pa.Table, bodies: list[str]) -> pa.Table:
    for name, values in (("body", bodies), ("body_bytes", [len(body) for body in bodies])):
        place = responses.schema.get_field_index(name)
        field = responses.schema.field(place)
        responses = responses.set_column(place, field, pa.array(values, field.type))
    return responses


def _user_id(row: object, name: str = "user_id") -> object:
    return row.get(name) if isinstance(row, dict) else None
