"""Removes from a body what must not land: IP addresses (see `CALL_METRICS_CLIENT_IP`) and erased people.

An address is known by the name of its field. The data of a timeline's events are free: there, an address is whatever
looks like one, in any text.
"""

from __future__ import annotations

import ipaddress
import re

from pipeline.endpoints import ENDPOINTS, EXTRA_ENDPOINTS, PEOPLE, EndpointName, leaves
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.writer import Redact
from pipeline.settings import ClientIp

__all__ = ["redactor"]

_NAMES = sorted(
    {name for endpoint in ENDPOINTS.values() for name, field in leaves(endpoint.fields) if field.is_address}
)
_ADDRESS = re.compile(rf'("(?:{"|".join(_NAMES)})"\s*:\s*)"((?:[^"\\]|\\.)*)"')

_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
"""A text in JSON, and the colon after it if it is the name of a field."""

_IPV6 = re.compile(r"(?<![\w.:])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?!\w)")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
"""What may be an address: `ipaddress` decides. A version number with four parts is taken for one."""

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
        if erased.users and endpoint in EXTRA_ENDPOINTS:
            body = erased.strike_mentions(endpoint, body)
        if mode == "keep":
            return body
        if mode == "drop":
            body = _ADDRESS.sub(r"\1null", body)
        else:
            body = _ADDRESS.sub(lambda match: match[1] + _truncated(match[2]), body)
        return _without_addresses(mode, body) if endpoint == "participant_timeline" else body

    return redact


def _without_addresses(mode: ClientIp, body: str) -> str:
    """Return a body with every address in its texts truncated or removed; a text that is no more than one gets null."""

    def shorten(match: re.Match[str]) -> str:
        try:
            ipaddress.ip_address(match[0])
        except ValueError:  # colons and an IPv4 address, such as "ip:203.0.113.7:80"
            return _IPV4.sub(shorten, match[0]) if ":" in match[0] else match[0]
        return _truncated(match[0]).strip('"') if mode == "truncate" else ""

    def redact_text(match: re.Match[str]) -> str:
        text, is_name = match[1], match[2] is not None
        kept = _IPV4.sub(shorten, _IPV6.sub(shorten, text))
        return "null" if text and not kept and not is_name else f'"{kept}"{match[2] or ""}'

    return _TEXT.sub(redact_text, body)


def _truncated(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "null"
    network = ipaddress.ip_network((address, KEPT_BITS[address.version]), strict=False)
    return f'"{network.network_address}"'
