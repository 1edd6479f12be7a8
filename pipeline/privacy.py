"""What is taken out of answers before they land: the IP addresses of clients, as far as the settings say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from pipeline.settings import ClientIp

__all__ = ["redactor"]

_ADDRESS = re.compile(r'("(?:ip|current_ip)"\s*:\s*)"((?:[^"\\]|\\.)*)"')
"""The fields in which Stream's specification has addresses: `client.ip`, and `current_ip` of participant statistics."""

KEPT_BITS = {4: 24, 6: 48}


def redactor(mode: ClientIp) -> Callable[[str], str]:
    """A function over JSON text that keeps addresses, truncates them to /24 (IPv4) or /48 (IPv6), or makes them null.

    The rest of the text stays as it came, byte for byte. What is no address is made null where addresses are truncated.
    """
    if mode == "keep":
        return lambda body: body
    if mode == "drop":
        return lambda body: _ADDRESS.sub(r"\1null", body)
    return lambda body: _ADDRESS.sub(lambda match: match[1] + _truncated(match[2]), body)


def _truncated(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "null"
    network = ipaddress.ip_network((address, KEPT_BITS[address.version]), strict=False)
    return f'"{network.network_address}"'
