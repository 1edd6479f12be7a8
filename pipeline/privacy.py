"""What is taken out of answers before they land: IP addresses, as far as the settings say, and forgotten people.

Of a person who is forgotten nothing is kept but a salted hash of the user id, by which later answers about them are
told and left out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import FixStorage
from pipeline.exchange import Endpoint
from pipeline.settings import ClientIp

__all__ = ["Forgotten", "redactor"]

_ADDRESS = re.compile(r'("(?:ip|current_ip)"\s*:\s*)"((?:[^"\\]|\\.)*)"')
"""The fields in which Stream's specification has addresses: `client.ip`, and `current_ip` of participant statistics."""

LISTS: dict[Endpoint, str] = {"participant_sessions": "participants_sessions", "participant_stats": "participants"}
"""Where the endpoints that list people have them."""

KEPT_BITS = {4: 24, 6: 48}


@dataclass(frozen=True)
class Forgotten:
    """The people who are forgotten, as salted SHA-256 hashes of their user ids, in a small JSON file."""

    salt: str
    users: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Forgotten:
        """Those of a data folder; nobody where there is no file. Raises `FixStorage` where it cannot be read."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(stored["salt"]), frozenset(map(str, stored["users"])))
        except FileNotFoundError:
            return cls(secrets.token_hex(16), frozenset())
        except (OSError, ValueError, KeyError, TypeError):
            raise FixStorage(f"{path} cannot be read; restore it, for it says who may not be kept") from None

    def write(self, path: Path) -> None:
        """Store it, as a whole. Raises `FixStorage`."""
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"salt": self.salt, "users": sorted(self.users)}), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise FixStorage(f"{path} cannot be written ({error.strerror}); mend it and run again") from None

    def digest(self, user_id: str) -> str:
        """What is kept of a user id."""
        return hashlib.sha256(f"{self.salt}:{user_id}".encode()).hexdigest()

    def knows(self, user_id: object) -> bool:
        """Whether this user is forgotten."""
        return bool(self.users) and isinstance(user_id, str) and self.digest(user_id) in self.users

    def adding(self, user_id: str) -> Forgotten:
        """The same and one more."""
        return Forgotten(self.salt, self.users | {self.digest(user_id)})

    def struck_from_page(self, endpoint: Endpoint, body: str) -> str:
        """A page of an endpoint that lists people, without the forgotten; a mark stands for each, so that totals hold.

        The body comes back as it is where nobody is concerned, or where it is no such page.
        """
        try:
            page = json.loads(body)
            listed = page[LISTS[endpoint]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return body
        if not isinstance(listed, list) or not any(self.knows(_user(row)) for row in listed):
            return body
        page[LISTS[endpoint]] = [self._mark(row) if self.knows(_user(row)) else row for row in listed]
        return json.dumps(page, ensure_ascii=False, separators=(",", ":"))

    def struck_from_pages(self, answers: pa.Table) -> pa.Table:
        """Raw answers of an endpoint that lists people (columns of `landing.RAW_SCHEMA`), by `struck_from_page`."""
        rows = zip(*(answers.column(name).to_pylist() for name in ("endpoint", "body")), strict=True)
        texts = [self.struck_from_page(endpoint, body) for endpoint, body in rows]
        for name, values in (("body", texts), ("body_bytes", [len(text) for text in texts])):
            place = answers.schema.get_field_index(name)
            field = answers.schema.field(place)
            answers = answers.set_column(place, field, pa.array(values, field.type))
        return answers

    def struck_from_answers(self, answers: pa.Table) -> pa.Table:
        """Raw answers of Participant Metrics without those about the forgotten."""
        users = answers.column("user_id").to_pylist()
        return answers.filter(pa.array([not self.knows(user) for user in users], pa.bool_()))

    def _mark(self, stay: dict[str, Any]) -> dict[str, Any]:
        return {"forgotten": self.digest(f"{stay.get('user_id')}/{stay.get('user_session_id', '')}")}


def redactor(mode: ClientIp, forgotten: Forgotten) -> Callable[[Endpoint, str], str]:
    """A function over bodies that takes out what may not land.

    Addresses are kept, truncated to /24 (IPv4) or /48 (IPv6), or made null; the rest of a body stays as it came, byte
    for byte. What is no address is made null where addresses are truncated. Forgotten people are left out.
    """

    def redact(endpoint: Endpoint, body: str) -> str:
        if forgotten.users and endpoint in LISTS:
            body = forgotten.struck_from_page(endpoint, body)
        if mode == "drop":
            return _ADDRESS.sub(r"\1null", body)
        if mode == "truncate":
            return _ADDRESS.sub(lambda match: match[1] + _truncated(match[2]), body)
        return body

    return redact


def _user(stay: object) -> object:
    return stay.get("user_id") if isinstance(stay, dict) else None


def _truncated(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "null"
    network = ipaddress.ip_network((address, KEPT_BITS[address.version]), strict=False)
    return f'"{network.network_address}"'
