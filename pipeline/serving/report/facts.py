"""What the page lists about a call and a stay: names with values, and warnings.

Columns that are added to a table later appear on the page by themselves, under the name of the column. How single
values read is in `serving.formatting`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pipeline.serving.report.values import Row, StayContent

__all__ = ["call_facts", "stay_facts", "warning_groups"]

SHOWN_ELSEWHERE = {
    "session_date", "call_type", "call_id", "call_session_id", "call_cid", "started_at", "ended_at", "generated_at",
    "is_live", "user_id", "user_session_id", "joined_at", "left_at", "duration_seconds", "client_name",
    "client_version", "network_type", "city", "subdivision", "country", "country_iso_code", "continent",
    "is_publisher", "is_subscriber", "publisher_type", "published_audio", "published_video", "published_screenshare",
    "published_screenshare_audio",
}  # fmt: skip
"""Columns that have their own place on the page, or that the page does not need."""

PRIVATE = {"client_ip", "latitude", "longitude", "accuracy_radius_meters"}
"""Columns that the page leaves out, because it is passed from person to person."""

UNITS = {"_ms": "ms", "_seconds": "s", "_kilometers": "km"}
INITIALS = {"cq": "CQ", "os": "OS", "sdk": "SDK", "sfu": "SFU", "sfus": "SFUs"}


def call_facts(session: Row) -> list[tuple[str, str]]:
    """Return what the source reports about a call session, by name."""
    return _named_values(session)


def stay_facts(stay: StayContent) -> list[tuple[str, str]]:
    """Return what is known about a stay and its client, by name."""
    facts = stay.facts
    places = [facts[name] for name in ("city", "subdivision", "country") if facts.get(name)]
    known = {
        "Client": " ".join(str(facts[name]) for name in ("client_name", "client_version") if facts.get(name)),
        "Network": facts["network_type"],
        "Place": ", ".join(dict.fromkeys(places)),
    }
    return [(name, value or "unknown") for name, value in known.items()] + _named_values(facts)


def warning_groups(stay: StayContent) -> list[dict[str, Any]]:
    """Return the warnings of a stay, those with the same track and text as one: how many, the first and the last."""
    labels = {(track.quality["track_id"], track.quality["track_type"]): track.label for track in stay.tracks}
    groups: dict[tuple[Any, ...], list[datetime | None]] = {}
    for row in stay.warnings:
        track = labels.get((row["track_id"], row["track_type"]), row["track_id"])
        groups.setdefault((track, row["code"], row["warning"]), []).append(row["time"])
    return [
        {"track": track, "code": code, "warning": text, "count": len(times), "first": times[0], "last": times[-1]}
        for (track, code, text), times in groups.items()
    ]


def _named_values(row: Row) -> list[tuple[str, str]]:
    """Return the remaining columns that have a value, by name. A version follows the value that it belongs to."""
    skipped = SHOWN_ELSEWHERE | PRIVATE
    known = {name: value for name, value in row.items() if name not in skipped and value not in (None, [])}
    versions = {name: known.pop(f"{name}_version") for name in tuple(known) if f"{name}_version" in known}
    return [
        (_name(column), f"{_value(value)} {_value(versions[column])}" if column in versions else _value(value))
        for column, value in known.items()
    ]


def _name(column: str) -> str:
    """Return the name of a column in words, with its unit, such as "Jitter (ms)"."""
    words, unit = column, ""
    for suffix, short in UNITS.items():
        if column.endswith(suffix):
            words, unit = column.removesuffix(suffix), f" ({short})"
    words = " ".join(INITIALS.get(word, word) for word in words.split("_"))
    return words[0].upper() + words[1:] + unit


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(part) for part in value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return f"{value:g}" if isinstance(value, float) else str(value)
