"""Who shares a call, a network or a scope."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipeline.quality.incidents.publishers import STAY_COLUMNS, Publishers

CALL = {"call_type": "default", "call_id": "c", "call_session_id": "s"}


def publishers(*stays: dict[str, Any]) -> Publishers:
    """Return the publishers of stays, which are of different users of one call unless something else is given."""
    empty = dict.fromkeys(STAY_COLUMNS) | CALL
    rows = [empty | {"user_id": f"{number}"} | stay for number, stay in enumerate(stays)]
    schema = pa.schema([(name, pa.string()) for name in STAY_COLUMNS])
    return Publishers.of(pa.Table.from_pylist(rows, schema))


def are_together(one: dict[str, Any], other: dict[str, Any], *others: dict[str, Any]) -> bool:
    """Return whether two stays are on one network."""
    first, second, *_ = publishers(one, other, *others).network.tolist()
    return bool(first == second)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"client_ip": "192.0.2.1"}, {"client_ip": "192.0.2.200"}, True),
        ({"client_ip": "192.0.2.1"}, {"client_ip": "192.0.3.1"}, False),
        ({"client_ip": "2001:db8:1:1::1"}, {"client_ip": "2001:db8:1:2::2"}, True),
        ({"client_ip": "2001:db8:1::1"}, {"client_ip": "2001:db8:2::1"}, False),
        ({"client_ip": "192.0.2.1", "city": "Oslo"}, {"client_ip": "192.0.2.1", "city": "Bergen"}, False),
        ({"client_ip": "hidden"}, {"client_ip": "hidden"}, True),
        ({"city": "Oslo"}, {"city": "Oslo"}, True),
        ({"city": "Oslo"}, {"city": "Oslo", "call_session_id": "other"}, False),
        ({"city": "Oslo", "network_type": "wifi"}, {"city": "Oslo", "network_type": "cellular"}, False),
    ],
)
def test_network_is_a_truncated_address_in_a_city(one: dict[str, Any], other: dict[str, Any], together: bool) -> None:
    """Without an address it is a call, a city and a type of network."""
    assert are_together(one | {"call_id": "a"}, other | {"call_id": "a"}) == together


def test_network_of_many_people_is_their_address() -> None:
    """More people than an office has share the first 24 bits: then only those with one address are together."""
    crowd = [{"client_ip": f"192.0.2.{number}"} for number in range(3, 40)]
    one, other = {"client_ip": "192.0.2.1", "call_id": "a"}, {"client_ip": "192.0.2.2", "call_id": "b"}
    assert are_together(one, other)
    assert not are_together(one, other, *crowd)
    assert are_together(one, one | {"call_id": "b"}, *crowd)


def test_address_of_nearly_everyone_says_nothing() -> None:
    """Sixty of seventy people have one address, as behind a proxy: those of one call are together, and no others."""
    proxy = [{"client_ip": "192.0.2.1"} for _ in range(60)]
    others = [{"client_ip": f"10.0.{number}.1"} for number in range(10)]
    one = {"client_ip": "192.0.2.1", "call_id": "a"}
    assert are_together(one, one, *proxy, *others)
    assert not are_together(one, one | {"call_id": "b"}, *proxy, *others)


def test_scopes_have_names_and_unknown_is_none_of_them() -> None:
    """A client is its name and version; a country its name, or else its code; NULL belongs to no scope."""
    found = publishers(
        {"client_name": "web", "client_version": "1", "country": "Norway", "country_iso_code": "NO"},
        {"client_name": "web", "country_iso_code": "SE", "current_sfu": "sfu-1", "network_type": "wifi"},
        {},
    )
    named = {
        scope: [values[number] if number >= 0 else None for number in found.scopes[scope]]
        for scope, values in found.values.items()
    }
    assert named == {
        "everything": ["everything"] * 3,
        "media server": [None, "sfu-1", None],
        "country": ["Norway", "SE", None],
        "network": [None, "wifi", None],
        "client": ["web 1", "web", None],
    }


def test_user_and_call_are_numbered() -> None:
    """A user is the same in all calls, a call is one session of it."""
    found = publishers({"user_id": "ann"}, {"user_id": "ann", "call_session_id": "other"}, {"user_id": "bob"})
    assert found.user.tolist() == [0, 0, 1]
    assert found.call.tolist() == [0, 1, 0]
