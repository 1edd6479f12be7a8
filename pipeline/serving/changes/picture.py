"""The picture of a change: one HTML page with a waterfall from the poor share before to the one after, and a table.

The page loads nothing from the network; text from the source is escaped, as in the report.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.errors import FixSettings, FixStorage
from pipeline.files import replacing
from pipeline.serving.changes.content import Explanation
from pipeline.serving.changes.texts import DIMENSIONS, headline, name_of, notes, points, problem, shown
from pipeline.serving.formatting import percent
from pipeline.serving.report.figures import ALERT, GRID, INK, QUIET, plain
from pipeline.serving.report.page import POLICY, digest, script_json

__all__ = ["render", "waterfall", "write"]

WIDTH, BAR_HEIGHT, MARGINS = 900, 34, 90

BETTER = "#0072b2"
"""Colour of parts that lower the poor share, from Okabe and Ito's palette. Others are orange. Signs say it too."""


def render(explanation: Explanation) -> bytes:
    """Return the page in UTF-8."""
    scripts = [get_plotlyjs(), _file("pipeline.serving.report", "page.js")]
    hashes = " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"percent": percent}
    figures = {"waterfall": waterfall(explanation)} if explanation.is_ranked else {}
    page = environment.from_string(_file(__package__, "picture.html.j2")).render(
        policy=f"{POLICY}; script-src {hashes}",
        style=Markup(_file("pipeline.serving.report", "page.css")),  # noqa: S704 - our own
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - Plotly's and our own
        figures=Markup(script_json(figures)),  # noqa: S704 - has no character that ends a script
        explanation=explanation,
        headline=headline(explanation),
        problem=problem(explanation),
        notes=list(notes(explanation)),
        parts=shown(explanation) if explanation.is_ranked else [],
        dimensions=DIMENSIONS,
        points=points,
    )
    return page.encode()


def waterfall(explanation: Explanation) -> dict[str, Any]:
    """Return the figure, in percent: the share before, the parts, what is left of them, and the share after."""
    parts = shown(explanation)
    before, after = (100 * explanation.totals[f"total_poor_share_{end}"] for end in ("before", "after"))
    rest = after - before - 100 * sum(part.contribution for part in parts)
    names = ["before", *(plain(name_of(part), 60) for part in parts)]
    lengths = [before, *(100 * part.contribution for part in parts)]
    notes_ = ["", *(f"interval {points(part)[1]} points" for part in parts)]
    if abs(rest) >= 1e-9:
        names, lengths, notes_ = [*names, "all other parts"], [*lengths, rest], [*notes_, ""]
    names, lengths, notes_ = [*names, "after"], [*lengths, after], [*notes_, ""]
    return {
        "data": [
            {
                "type": "waterfall",
                "orientation": "h",
                "measure": ["absolute", *["relative"] * (len(names) - 2), "total"],
                "y": [f"{place}" for place in range(len(names))],
                "x": lengths,
                "text": [
                    f"{length:.2f}" if place in (0, len(names) - 1) else f"{length:+.2f}"
                    for place, length in enumerate(lengths)
                ],
                "customdata": notes_,
                "hovertemplate": "%{text} %{customdata}<extra></extra>",
                "increasing": {"marker": {"color": ALERT}},
                "decreasing": {"marker": {"color": BETTER}},
                "totals": {"marker": {"color": QUIET}},
                "connector": {"line": {"color": GRID}},
                "cliponaxis": False,
            }
        ],
        "layout": {
            "width": WIDTH,
            "height": MARGINS + BAR_HEIGHT * len(names),
            "margin": {"l": 300, "r": 60, "t": 20, "b": 50},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "font": {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK},
            "showlegend": False,
            "xaxis": {"title": {"text": "poor stays, % of judged publishers' stays"}, "gridcolor": GRID},
            "yaxis": {
                "autorange": "reversed",
                "tickvals": [f"{place}" for place in range(len(names))],
                "ticktext": names,
                "type": "category",
            },
        },
    }


def write(explanation: Explanation, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises `FixSettings` if something other than a file is at `path`, `FixStorage` if it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise FixSettings(f"{path} is not a file; name one with --picture")
    page = render(explanation)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(page)
    except OSError as error:
        raise FixStorage(f"{path} cannot be written ({error.strerror}); choose another file with --picture") from None


def _file(package: str | None, name: str) -> str:
    return resources.files(package or "").joinpath(name).read_text(encoding="utf-8")
