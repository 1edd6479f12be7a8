"""Redaction of IP addresses, in documents of any shape."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.redaction import redactor
from pipeline.settings import ClientIp
from tests.support import examples
from tests.support.responses import METRICS


def redacted(mode: ClientIp, body: str) -> str:
    """Return a body of Participant Metrics after redaction, with no erased users."""
    return redactor(mode, ErasedUsers("salt", frozenset()))(METRICS, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _addresses(value: Any, change: Callable[[str], str | None]) -> Any:
    """Return the same value, with every text under an address field changed."""
    if isinstance(value, dict):
        return {
            name: change(inner)
            if name in ("ip", "current_ip") and isinstance(inner, str)
            else _addresses(inner, change)
            for name, inner in value.items()
        }
    return [_addresses(inner, change) for inner in value] if isinstance(value, list) else value


@given(
    JSON,
    st.dictionaries(st.sampled_from(["ip", "current_ip", "zip", "ip "]), st.ip_addresses().map(str) | JSON),
    st.booleans(),
)
@examples(300)
def test_redaction_changes_nothing_but_addresses(rest: Any, client: dict[str, Any], ascii_only: bool) -> None:
    """Addresses change as the mode says, and everything else in the document stays the same."""
    document = {"rest": rest, "client": client, "after": rest}
    body = json.dumps(document, ensure_ascii=ascii_only)

    def truncated(text: str) -> str | None:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None
        keep = 24 if address.version == 4 else 48
        return str(type(address)(int(address) >> (address.max_prefixlen - keep) << (address.max_prefixlen - keep)))

    assert json.loads(redacted("truncate", body)) == _addresses(document, truncated)
    assert json.loads(redacted("drop", body)) == _addresses(document, lambda _: None)
    assert redacted("keep", body) == body
