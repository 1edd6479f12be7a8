"""The page: what it says in words and figures, around the charts, as one HTML file.

Here belong sentences, units and how a value reads; the template has the order of things. Everything from the database
goes through the template's autoescape or, within scripts, through `_script_json`. The page's own policy (CSP) forbids
it any request, and any script but the two that are in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from importlib import resources
from typing import Any

import jinja2
import orjson
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.planning.completeness import CallCompleteness
from pipeline.planning.problems import counted, sentence, still_live
from pipeline.schema import WINDOW_STATES
from pipeline.serving.report.charts import merged_windows, name_of, stay_chart, timeline
from pipeline.serving.report.content import LISTED, Content, Stay
from pipeline.serving.report.lines import COLUMNS

__all__ = ["render", "shortfalls"]

Row = Mapping[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Scripts come on top by their hashes; Plotly writes styles."""
NAMED = 5
WARNINGS = 12
WINDOWS = 12
NOT_FACTS = {
    "session_date", "call_type", "call_id", "call_session_id", "call_cid", "started_at", "ended_at", "generated_at",
    "is_live", "user_id", "user_session_id", "joined_at", "left_at", "duration_seconds", "client_name",
    "client_version", "network_type", "city", "subdivision", "country", "country_iso_code", "continent",
    "is_publisher", "is_subscriber", "publisher_type", "published_audio", "published_video", "published_screenshare",
    "published_screenshare_audio",
}  # fmt: skip
"""Columns that have a place of their own on the page, or none."""
UNITS = {"_ms": "ms", "_seconds": "s", "_kilometers": "km"}
INITIALS = {"cq": "CQ", "os": "OS", "sdk": "SDK", "sfu": "SFU", "sfus": "SFUs"}
PRIVATE = {"client_ip", "latitude", "longitude", "accuracy_radius_meters"}
"""Columns that a page which goes from hand to hand does without."""


def render(content: Content, now: datetime) -> bytes:
    """The page as UTF-8, made at `now`."""
    charts = {"timeline": timeline(content)}
    for stay in content.stays[: content.charted]:
        if chart := stay_chart(content, stay):
            charts[f"stay-{stay.number}"] = chart
    figures = _script_json({name: chart.figure for name, chart in charts.items()})
    scripts = [get_plotlyjs(), _file("page.js")]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "bits": bits,
        "clock": partial(clock, started_at=content.session["started_at"]),
        "duration": duration,
        "number": number,
        "percent": percent,
    }
    text = environment.from_string(
        _file("page.html.j2")
    ).render(
        content=content,
        session=content.session,
        quality=content.quality,
        completeness=content.completeness,
        policy=f"{POLICY}; script-src {hashes}",
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - Plotly's and our own, not the source's
        style=Markup(_file("page.css")),  # noqa: S704 - our own
        figures=Markup(figures),  # noqa: S704 - has no character that ends a script
        charts=charts,
        shortfalls=shortfalls(content),
        notes=_notes(content),
        findings=findings(content),
        listed=content.stays[:LISTED],
        charted=content.stays[: content.charted],
        left_out=_left_out(content),
        name_of=name_of,
        facts=_stay_facts,
        source_facts=_facts(content.session),
        warnings=_warnings,
        windows=_windows,
        states=WINDOW_STATES,
        limits={"warnings": WARNINGS, "windows": WINDOWS, "columns": COLUMNS},
        now=now,
    )
    return text.encode()


def shortfalls(content: Content) -> tuple[str, ...]:
    """Return in sentences what of the call is still missing; none if it is complete."""
    row = content.completeness
    if row["is_complete"] is None:
        return ("The database does not say how complete the call is.",)
    is_live = bool(content.session["is_live"])
    problems = list(CallCompleteness.of_row(row, is_live=is_live).problems)
    if is_live:
        problems.insert(0, still_live(content.session["generated_at"]))
    return tuple(map(sentence, problems))


def _notes(content: Content) -> tuple[str, ...]:
    """Return in sentences what is not stored and cannot be fetched: nothing is left to do about it."""
    row, notes = content.completeness, []
    if row["windows_gone"]:
        notes.append(f"The source does not know {row['windows_gone']} of {row['windows_expected']} windows.")
    if row["stays_forgotten"]:
        notes.append(f"{counted(row['stays_forgotten'], 'stay')} of people who were erased on request are left out.")
    return tuple(notes)


def findings(content: Content) -> list[str]:
    """What stands out, in sentences, the most telling first."""
    quality, stays, found = content.quality, content.stays, []
    poor: dict[str, list[str]] = {}
    for stay in stays:
        if stay.quality["class"] == "poor":
            poor.setdefault(stay.quality["poor_due_to"], []).append(name_of(stay))
    found += [f"Poor for {reason}: {_named(names)}." for reason, names in poor.items()]
    if quality["peak_publishers_low"] > 1:
        found.append(
            f"At {clock(quality['peak_publishers_low_at'], content.session['started_at'])} UTC "
            f"{quality['peak_publishers_low']} of {quality['publishers']} publishers had a low frame rate at once: "
            "several at the same instant point to the call or its media server, one alone to that person's network or "
            "device."
        )
    unclassified = sum(stay.quality["class"] == "unclassified" and stay.quality["tracks"] > 0 for stay in stays)
    published = sum(stay.quality["tracks"] > 0 for stay in stays)
    if unclassified:
        found.append(
            f"{unclassified} of {published} stays with tracks could not be judged: there is too little data, or no "
            "rule for that kind of track. They count as neither good nor bad."
        )
    if rejoined := [f"{stay.facts['user_id']} ({stay.stays})" for stay in stays if stay.stay_number == 2]:
        found.append(f"With more than one stay: {_named(rejoined)}.")
    if warned := sum(stay.quality["warnings"] for stay in stays):
        codes = Counter(row["code"] or row["warning"] or "no code" for stay in stays for row in stay.warnings)
        named = ", ".join(f"{count} × {code}" for code, count in codes.most_common(NAMED))
        found.append(f"{counted(warned, 'warning')} from the source" + (f": {named}." if named else "."))
    if not found and stays:
        found.append("Nothing stands out in the data that is here.")
    return found


def _left_out(content: Content) -> list[str]:
    """What the page leaves out to stay usable, and how to see it."""
    total, left = len(content.stays), []
    how = "The option --participant USER makes a page of one user alone."
    if content.participant is not None:
        how = "The command call-metrics sql asks for the rest."
    if content.charted < total:
        left.append(f"Charts and tracks: the first {content.charted} of {total} stays, worst first. {how}")
    if content.shown < total:
        left.append(f"Timeline: the first {content.shown} of {total} stays, worst first.")
    if total > LISTED:
        left.append(f"Table of people: the first {LISTED} of {total} stays, worst first.")
    return left


def _stay_facts(stay: Stay) -> list[tuple[str, str]]:
    facts = stay.facts
    place = [facts[name] for name in ("city", "subdivision", "country") if facts.get(name)]
    known = {
        "Client": " ".join(str(facts[name]) for name in ("client_name", "client_version") if facts.get(name)),
        "Network": facts["network_type"],
        "Place": ", ".join(dict.fromkeys(place)),
    }
    return [(name, value or "not known") for name, value in known.items()] + _facts(facts)


def _facts(row: Row) -> list[tuple[str, str]]:
    """Whatever else is known, by name of the column; a version stands beside what it is of."""
    known = {name: value for name, value in row.items() if name not in NOT_FACTS | PRIVATE and value not in (None, [])}
    versions = {name: known.pop(f"{name}_version") for name in tuple(known) if f"{name}_version" in known}
    return [
        (_label(name), f"{_value(value)} {_value(versions[name])}" if name in versions else _value(value))
        for name, value in known.items()
    ]


def _label(column: str) -> str:
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


def _warnings(stay: Stay) -> list[dict[str, Any]]:
    """Warnings of a stay, those of one track with the same words as one: how many, the first and the last."""
    labels = {(track.quality["track_id"], track.quality["track_type"]): track.label for track in stay.tracks}
    groups: dict[tuple[Any, ...], list[datetime | None]] = {}
    for row in stay.warnings:
        track = labels.get((row["track_id"], row["track_type"]), row["track_id"])
        groups.setdefault((track, row["code"], row["warning"]), []).append(row["time"])
    return [
        {"track": track, "code": code, "warning": text, "count": len(times), "first": times[0], "last": times[-1]}
        for (track, code, text), times in groups.items()
    ]


def _windows(stay: Stay) -> list[dict[str, Any]]:
    return [{"state": state, "since": since, "until": until} for state, since, until in merged_windows(stay.windows)]


# How values read. What is not known is a dash.


def clock(instant: datetime | None, started_at: datetime | None) -> str:
    """The time of day, with the date where that is not the day on which the call started."""
    if instant is None:
        return "–"
    on_the_day = started_at is not None and instant.date() == started_at.date()
    return f"{instant:%H:%M:%S}" if on_the_day else f"{instant:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """A length of time in its two greatest units."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.0f} s" if seconds == round(seconds) else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def number(value: float | None) -> str:
    """A number with one decimal where it has any."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def bits(value: float | None) -> str:
    """A bitrate with three digits: 1.20 M, 32.0 k."""
    if value is None:
        return "–"
    value = float(f"{value:.3g}")  # first, for it may reach the next unit
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.{max(0, 3 - len(str(int(abs(value) / size))))}f} {unit}"
    return f"{value:.0f}"


def percent(share: float | None) -> str:
    """A share; neither 0 nor 100 unless it is."""
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _script_json(value: object) -> str:
    """JSON that can stand in a script: nothing in it ends one, or begins a comment."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
