"""The pages about what the figures mean: whether a release is worse, and why the poor share changed.

Each leads to the calls behind its rows. What is said is decided in `quality.releases`, `quality.changes` and
`serving.changes`. The other pages are in `app`, which also shows the chosen call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import streamlit as st

from pipeline.serving.changes import Explanation, Part, Span, explain
from pipeline.serving.changes.picture import waterfall
from pipeline.serving.changes.texts import DIMENSIONS, headline, name_of, notes, points, problem, shown
from pipeline.serving.dashboard import run_query
from pipeline.serving.dashboard.tables import table
from pipeline.settings import Settings

__all__ = ["changes", "releases"]

ShowCall = Callable[[Sequence[dict[str, Any]], str], None]
"""Shows a table of calls, and the call that the reader chooses. The text is where the choice is kept."""


def releases(first: date, last: date, show_calls: ShowCall) -> None:
    """Show the versions of each client, whether each is worse than the one before, and the calls of a chosen one."""
    st.caption(
        "Each version compared with the most used one before it, over all days, among people with like networks and "
        "countries. The interval stays right however often one looks. Choose a version to see its calls."
    )
    found = run_query(Settings.load().warehouse, "releases", first=first, last=last)
    if not found:
        st.info("No client with a version was seen in these days.")
        return
    table(found)
    names = [f"{row['client_name']} {row['client_version']}" for row in found]
    chosen = st.selectbox("Calls with poor publishers of", names, index=None, key="release")
    if chosen is not None:
        row = found[names.index(chosen)]
        _calls(Span(first, last), "client_version", row["client_version"], show_calls)


def changes(first: date, last: date, show_calls: ShowCall) -> None:
    """Show what the change of the poor share comes from, and the calls behind a chosen part."""
    spans = {
        "The newest day and the day before": Span(last, last),
        "The newest seven days and the seven before": Span(last - timedelta(days=6), last),
        "All chosen days and as many before": Span(first, last),
    }
    span = spans[str(st.selectbox("Compare", list(spans), key="spans"))]
    explanation = explain(Settings.load().warehouse, span, span.before())
    st.text(headline(explanation))
    for note in notes(explanation):
        st.caption(note)
    if missing := problem(explanation):
        st.info(missing)
    if not explanation.is_ranked:
        return
    st.plotly_chart(waterfall(explanation), key="waterfall")
    _parts(explanation, show_calls)


def _parts(explanation: Explanation, show_calls: ShowCall) -> None:
    """Show the calls behind the part that the reader chooses."""
    st.caption("Parts say what went along with the change, not what caused it.")
    parts = {_label(part): part for part in shown(explanation) if part.dimension not in ("everywhere", "codec")}
    chosen = st.selectbox("Calls with poor publishers of", list(parts), index=None, key="part")
    if chosen is not None:
        _calls(explanation.span, parts[chosen].dimension, parts[chosen].value, show_calls)


def _label(part: Part) -> str:
    contribution, interval = points(part)
    return f"{name_of(part)}: {contribution} points ({interval})"


def _calls(span: Span, dimension: str, value: str, show_calls: ShowCall) -> None:
    found = run_query(
        Settings.load().warehouse, "value_calls", first=span.first, last=span.last, dimension=dimension, value=value
    )
    if found:
        show_calls(found, f"calls of {DIMENSIONS[dimension]}")
    else:
        st.info("No publisher with it was poor in these days.")
