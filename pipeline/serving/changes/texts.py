"""What the command prints about a change: sentences, rows of a table, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pipeline.serving.changes.content import Explanation, Part
from pipeline.serving.formatting import UNKNOWN, percent

__all__ = ["DIMENSIONS", "as_json", "headline", "name_of", "notes", "points", "problem", "shown", "value_of"]

DIMENSIONS = {
    "network_type": "network",
    "country": "country",
    "client_name": "client",
    "client_version": "version",
    "codec": "codec",
    "current_sfu": "media server",
    "everywhere": "everywhere",
}
"""How the dimensions are called in sentences and tables."""

MAX_ROWS = 12
"""Parts that the table and the picture show. JSON has all."""


def headline(explanation: Explanation) -> str:
    """Return the sentence about the change and its largest part."""
    if not explanation.parts:
        return f"The poor share of {explanation.span} cannot be compared with that of {explanation.against}."
    totals = explanation.totals
    change = totals["change"]
    text = f"{percent(totals['total_poor_share_after'])} of publishers' stays were poor in {explanation.span}, "
    if abs(change) < 0.0005:
        text += f"as many as in {explanation.against} ({_interval(totals['change_low'], totals['change_high'])} points)"
    else:
        low, high = sorted((abs(totals["change_low"]), abs(totals["change_high"])))
        if totals["change_low"] < 0 < totals["change_high"]:
            bounds = f"{_interval(totals['change_low'], totals['change_high'])} as a change"
        else:
            bounds = f"{_points(low)} to {_points(high)}"
        more = "more" if change > 0 else "less"
        text += f"{_points(abs(change))} points ({bounds}) {more} than in {explanation.against}"
    if not explanation.is_ranked:
        return f"{text}."
    top = explanation.parts[0]
    if not top.is_certain:
        return f"{text}; no part of it can be told from chance."
    same_way = top.contribution * change > 0 and abs(top.contribution) >= abs(change) / 2
    part = "most of it" if same_way else "the largest part"
    bounds = f"{_points(top.low, signed=True)} to {_points(top.high, signed=True)}"
    return f"{text}; {part}, {_points(top.contribution, signed=True)} points ({bounds}), comes from {name_of(top)}."


def problem(explanation: Explanation) -> str | None:
    """Return the sentence about too little data; None if there is enough."""
    if not explanation.parts:
        return (
            f"no judged publisher's stay in {explanation.span}, in {explanation.against} or in both; "
            "`call-metrics status` shows which days have data"
        )
    if not explanation.is_ranked:
        judged = [explanation.totals[name] for name in ("judged_before", "judged_after")]
        return f"too few judged stays for a ranking ({judged[0]} before, {judged[1]} after; it needs 30 each); add days"
    return None


def notes(explanation: Explanation) -> Iterator[str]:
    """Yield sentences about what the figures leave out."""
    totals = explanation.totals
    if totals:
        yield (
            f"Judged stays: {totals['judged_before']:,} before, {totals['judged_after']:,} after. Left out as "
            f"unclassified: {totals['left_out_before']:,} before, {totals['left_out_after']:,} after."
        )
    if explanation.unpublished:
        days = ", ".join(f"{day}" for day in explanation.unpublished[:5])
        more = len(explanation.unpublished) - 5
        yield f"Days that are not in the database: {days}{f' and {more} more' if more > 0 else ''}."


def shown(explanation: Explanation) -> list[Part]:
    """Return the parts to show: the most important ones that are not 0."""
    return [part for part in explanation.parts if abs(part.contribution) >= 1e-12][:MAX_ROWS]


def name_of(part: Part) -> str:
    """Return what a part is about, such as `version web 2.1.0 (rate)`."""
    if part.dimension == "everywhere":
        return "everywhere (a rate that no value explains)"
    return f"{DIMENSIONS[part.dimension]} {value_of(part)} ({part.kind})"


def value_of(part: Part) -> str:
    """Return the value in one line, with the client in front of a version that only this client has."""
    text = f"{part.client_name} {part.value}" if part.client_name else part.value
    return "".join(letter if letter.isprintable() else " " for letter in text)


def points(part: Part) -> tuple[str, str]:
    """Return the contribution of a part in points, and its interval."""
    return _points(part.contribution, signed=True), _interval(part.low, part.high)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return everything as JSON has it: shares and contributions from 0 to 1, days as ISO dates."""
    return {
        "since": explanation.span.first,
        "until": explanation.span.last,
        "against_since": explanation.against.first,
        "against_until": explanation.against.last,
        "sentence": headline(explanation),
        "problem": problem(explanation),
        **explanation.totals,
        "unpublished_days": explanation.unpublished,
        "parts": [asdict(part) for part in explanation.parts] if explanation.is_ranked else [],
    }


def _interval(low: float, high: float) -> str:
    return f"{_points(low, signed=True)} to {_points(high, signed=True)}"


def _points(share: float | None, *, signed: bool = False) -> str:
    """Return a share in points: two decimals below one point, one above."""
    if share is None:
        return UNKNOWN
    value = 100 * share
    text = f"{abs(value):.2f}" if abs(value) < 0.995 else f"{abs(value):.1f}"
    if not signed or not float(text):
        return text
    return f"{'+' if value > 0 else '−'}{text}"
