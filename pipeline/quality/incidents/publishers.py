"""Who the publishers are: their call, their network, and the scopes that an incident can have.

People in one call, or on one network, get worse together for reasons of their own. They are counted as one witness, see
`evidence`. A network is where people of one city share an address, truncated as `CALL_METRICS_CLIENT_IP=truncate` does
(/24, or /48 for IPv6). If more people than an office has do so, it is the address as it is stored. If more than a fifth
of a day's publishers, and more than fifty, share even that, it says nothing, as behind a proxy; then, and without an
address, a network is the people of one call, in one city and on one type of network.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import CALL_KEY

__all__ = ["EVERYTHING", "SCOPES", "STAY_COLUMNS", "Publishers"]

Ints = npt.NDArray[np.int64]

EVERYTHING = "everything"
"""The scope of all publishers, and its only value."""

SCOPES = (EVERYTHING, "media server", "country", "network", "client")
"""Values of `incidents.scope`. Of two that explain an incident equally well, the first one is named."""

STAY_COLUMNS = (
    *CALL_KEY,
    "user_id",
    "client_ip",
    "city",
    "country",
    "country_iso_code",
    "network_type",
    "client_name",
    "client_version",
    "current_sfu",
)
"""The columns of `participant_sessions` that are needed."""

OFFICE_PEOPLE = 25
"""People up to whom a truncated address is one network."""

MAX_NETWORK_SHARE, MAX_NETWORK_PEOPLE = 0.2, 50
"""An address says nothing if more than this share of a day's publishers have it, and more than so many."""

KEPT_BITS = {4: 24, 6: 48}
"""Bits of an address that are left when it is truncated, by IP version."""


@dataclass(frozen=True)
class Publishers:
    """What is known of stays, one element each. Numbers are dense and start at 0; -1 is unknown.

    Attributes:
        user: number of the user, the same in all calls.
        call: number of the call session.
        network: number of the network.
        scopes: for each of `SCOPES` the number of its value.
        values: for each of `SCOPES` its values by number.
    """

    user: Ints
    call: Ints
    network: Ints
    scopes: dict[str, Ints]
    values: dict[str, list[str]]

    @classmethod
    def of(cls, stays: pa.Table) -> Publishers:
        """Return the publishers with these rows of `participant_sessions`, which has `STAY_COLUMNS` and more."""
        column = {name: stays.column(name).to_pylist() for name in STAY_COLUMNS}
        user, _ = _numbered(column["user_id"])
        call, _ = _numbered(list(zip(*(column[name] for name in CALL_KEY), strict=True)))
        clients = [
            f"{name} {version}" if name and version else name or None
            for name, version in zip(column["client_name"], column["client_version"], strict=True)
        ]
        countries = [name or code for name, code in zip(column["country"], column["country_iso_code"], strict=True)]
        named: dict[str, Sequence[str | None]] = {
            EVERYTHING: [EVERYTHING] * stays.num_rows,
            "media server": column["current_sfu"],
            "country": countries,
            "network": column["network_type"],
            "client": clients,
        }
        numbered = {scope: _numbered(named[scope]) for scope in SCOPES}
        return cls(
            user,
            call,
            _networks(user, call, column),
            {scope: numbers for scope, (numbers, _) in numbered.items()},
            {scope: [str(value) for value in values] for scope, (_, values) in numbered.items()},
        )


def _networks(user: Ints, call: Ints, column: dict[str, list[str | None]]) -> Ints:
    """Return the number of each stay's network."""
    places = list(zip(column["country"], column["city"], strict=True))
    stored = column["client_ip"]
    limit = max(MAX_NETWORK_PEOPLE, MAX_NETWORK_SHARE * len(np.unique(user)))
    wide = _within(OFFICE_PEOPLE, user, [_prefix(address) if address else None for address in stored], places)
    narrow = _within(limit, user, stored, places)
    calls = zip(call.tolist(), places, column["network_type"], strict=True)
    return _numbered([one or other or last for one, other, last in zip(wide, narrow, calls, strict=True)])[0]


def _within(
    limit: float, user: Ints, addresses: Sequence[str | None], places: Sequence[Hashable]
) -> list[Hashable | None]:
    """Return address and place of each stay; None where there is no address, or where more than `limit` people are."""
    networks = [(address, place) if address else None for address, place in zip(addresses, places, strict=True)]
    people = Counter(network for network, _ in {*zip(networks, user.tolist(), strict=True)})
    return [network if network is not None and people[network] <= limit else None for network in networks]


@lru_cache(maxsize=65_536)
def _prefix(text: str) -> str | None:
    """Return the network part of an address; None if the text is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(ipaddress.ip_network((address, KEPT_BITS[address.version]), strict=False))


def _numbered(values: Sequence[Hashable]) -> tuple[Ints, list[Hashable]]:
    """Return a number for each value in the order of their first appearance, -1 for None, and the values by number."""
    numbers: dict[Hashable, int] = {}
    found = [-1 if value is None or value == "" else numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(found, dtype=np.int64), list(numbers)
