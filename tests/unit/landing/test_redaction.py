"""Redaction: IP addresses in bodies, before they land."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.landing import Landing
from pipeline.landing.redaction import redactor
from pipeline.settings import ClientIp
from tests.support import DAY
from tests.support.responses import METRICS, land, landed, metrics_response


def redacted(mode: ClientIp, body: str) -> str:
    """Return a body of Participant Metrics after redaction, with no erased users."""
    return redactor(mode, ErasedUsers("salt", frozenset()))(METRICS, body)


@pytest.mark.parametrize(
    ("given", "truncated"),
    [
        ('"203.0.113.77"', '"203.0.113.0"'),
        ('"10.0.0.1"', '"10.0.0.0"'),
        ('"2001:db8:1:2:3:4:5:6"', '"2001:db8:1::"'),
        ('"2001:DB8::FFFF"', '"2001:db8::"'),
        ('"::ffff:203.0.113.77"', '"::"'),
        ('"203.0.113.77:5060"', "null"),
        ('"fe80::1%eth0"', '"fe80::"'),
        ('"ann@example.org"', "null"),
        ('""', "null"),
        ('"a \\" quote, 203.0.113.77"', "null"),
        ("null", "null"),
        ("7", "7"),
    ],
)
def test_redaction_keeps_truncates_or_drops_addresses(given: str, truncated: str) -> None:
    """Addresses are cut to /24 or /48, and when cutting, a text that is not an address is replaced by null."""
    for field in ("ip", "current_ip"):
        body = f'{{"client": {{"{field}" : {given}, "name": "1.2.3.4"}}, "x":[ 1.50,"é\\u00e9"]}}'
        assert redacted("keep", body) == body
        assert redacted("truncate", body) == body.replace(given, truncated)
        assert redacted("drop", body) == body.replace(given, "null" if given.startswith('"') else given)


def test_redaction_happens_before_a_body_reaches_the_disk(tmp_path: Path) -> None:
    """A dropped address is in no file, and `body_bytes` is the size of what landed."""
    landing = Landing(tmp_path, redactor=lambda: redactor("drop", ErasedUsers("salt", frozenset())))
    land(landing, [metrics_response('{"client":{"ip":"203.0.113.77"}}')])
    assert landed(landing) == ['{"client":{"ip":null}}']
    assert landing.index(METRICS, DAY).column("body_bytes").to_pylist() == [len('{"client":{"ip":null}}')]
    assert not any(b"203.0.113" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
