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


@pytest.mark.parametrize(
    ("given", "truncated", "dropped"),
    [
        ("203.0.113.77", '"203.0.113.0"', "null"),
        ("2001:db8:1:2:3:4:5:6", '"2001:db8:1::"', "null"),
        ("typ host 203.0.113.77 5000", '"typ host 203.0.113.0 5000"', '"typ host  5000"'),
        ("203.0.113.77:5060", '"203.0.113.0:5060"', '":5060"'),
        ("[2001:db8:1:2::5]:5060", '"[2001:db8:1::]:5060"', '"[]:5060"'),
        ("ip:203.0.113.77:80", '"ip:203.0.113.0:80"', '"ip::80"'),
        ("at 203.0.113.77.", '"at 203.0.113.0."', '"at ."'),
        ("chrome 126.0.6478.114", '"chrome 126.0.6478.114"', '"chrome 126.0.6478.114"'),
        ("2026-03-01T10:00:00.123Z", '"2026-03-01T10:00:00.123Z"', '"2026-03-01T10:00:00.123Z"'),
        ("10:00:00 std::string", '"10:00:00 std::string"', '"10:00:00 std::string"'),
        ("", '""', '""'),
    ],
)
def test_redaction_finds_addresses_in_any_text_of_a_timeline(given: str, truncated: str, dropped: str) -> None:
    """The data of events have no known fields, so every text is searched. Names of fields stay names."""
    erased = ErasedUsers("salt", frozenset())

    def body(text: str, name: str) -> str:
        return f'{{"events": [{{"data": {{"x" : {text}, "{name}" : 1.5}}}}]}}'

    came = body(f'"{given}"', "203.0.113.77")
    assert redactor("keep", erased)("participant_timeline", came) == came
    assert redactor("truncate", erased)("participant_timeline", came) == body(truncated, "203.0.113.0")
    assert redactor("drop", erased)("participant_timeline", came) == body(dropped, "")
    assert redactor("drop", erased)(METRICS, came) == came


def test_redaction_happens_before_a_body_reaches_the_disk(tmp_path: Path) -> None:
    """A dropped address is in no file, and `body_bytes` is the size of what landed."""
    landing = Landing(tmp_path, redactor=lambda: redactor("drop", ErasedUsers("salt", frozenset())))
    land(landing, [metrics_response('{"client":{"ip":"203.0.113.77"}}')])
    assert landed(landing) == ['{"client":{"ip":null}}']
    assert landing.index(METRICS, DAY).column("body_bytes").to_pylist() == [len('{"client":{"ip":null}}')]
    assert not any(b"203.0.113" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
