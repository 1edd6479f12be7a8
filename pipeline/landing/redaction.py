"""Removes from a body what must not land: IP addresses (see `CALL_METRICS_CLIENT_IP`) and erased people."""

from __future__ import annotations

import ipaddress
import re

from pipeline.endpoints import ENDPOINTS, PEOPLE, EndpointName, leaves
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.writer import Redact
from pipeline.settings import ClientIp

__all__ = ["redactor"]

_NAMES = sorted(
    {name for endpoint in ENDPOINTS.values() for name, field in leaves(endpoint.fields) if field.is_address}
)
_ADDRESS = re.compile(rf'("(?:{"|".join(_NAMES)})"\s*:\s*)"((?:[^"\\]|\\.)*)"')

KEPT_BITS = {4: 24, 6: 48}
"""Bits of an address that are kept when it is truncated, by IP version."""


def redactor(mode: ClientIp, erased: ErasedUsers) -> Redact:
    """Return a function that removes from a body what must not land.

    Addresses are kept, truncated to /24 (IPv4) or /48 (IPv6), or replaced by null. When truncating, anything that is
    not an address is replaced by null. The rest of the body stays as it came, byte for byte. Erased people are removed.
    """

    def redact(endpoint: EndpointName, body: str) -> str:
        if erased.users and endpoint in PEOPLE:
            body = erased.strike_page(endpoint, body)
        if erased.users and endpoint == "participant_details":
            body = erased.strike_subscriptions(body)
        if mode == "drop":
            return _ADDRESS.sub(r"\1null", body)
        if mode == "truncate":
            return _ADDRESS.sub(lambda match: match[1] + _truncated(match[2]), body)
        return body

    return redact


def _truncated(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "null"
    network = ipaddress.ip_network((address, KEPT_BITS[address.version]), strict=False)
    return f'"{network.network_address}"'
