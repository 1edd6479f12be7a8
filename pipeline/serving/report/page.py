"""The page: content, sentences and charts in one HTML file, by the template `page.html.j2`.

The template has the order and the fixed texts. Everything from the database goes through its autoescape or, within
scripts, through `script_json`. The page's own policy (CSP) forbids it any request, and any script but its own two.
Sentences are in `sentences`, values in `facts` and `serving.formatting`, charts in `timeline` and `stay_chart`.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import partial
from importlib import resources

import jinja2
import orjson
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipeline.schema import WINDOW_STATES
from pipeline.serving.formatting import bits, clock, duration, number, percent
from pipeline.serving.report.content import MAX_TABLE_ROWS
from pipeline.serving.report.events import event_groups
from pipeline.serving.report.facts import call_facts, stay_facts, warning_groups
from pipeline.serving.report.figures import Chart
from pipeline.serving.report.lines import MAX_COLUMNS
from pipeline.serving.report.only_this_call import only_this_call
from pipeline.serving.report.sentences import findings, left_out, notes, problems
from pipeline.serving.report.sides import sentences_of
from pipeline.serving.report.sides_chart import sides_chart
from pipeline.serving.report.stay_chart import stay_chart
from pipeline.serving.report.timeline import timeline
from pipeline.serving.report.values import CallContent

__all__ = ["POLICY", "digest", "render", "script_json"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Scripts are allowed by their hashes. Plotly writes styles."""

MAX_WARNING_ROWS = 12
MAX_WINDOW_ROWS = 12
MAX_WAY_ROWS = 12
MAX_EVENT_ROWS = 12


def render(call: CallContent, now: datetime) -> bytes:
    """Return the page in UTF-8, made at `now`."""
    charts = _charts(call)
    figures = script_json({name: chart.figure for name, chart in charts.items()})
    scripts = [get_plotlyjs(), _file("page.js")]
    hashes = " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    text = _template(
        call
    ).render(
        call=call,
        session=call.session,
        quality=call.quality,
        completeness=call.completeness,
        policy=f"{POLICY}; script-src {hashes}",
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - Plotly's and our own, not the source's
        style=Markup(_file("page.css")),  # noqa: S704 - our own
        figures=Markup(figures),  # noqa: S704 - has no character that ends a script
        charts=charts,
        problems=problems(call),
        notes=notes(call),
        findings=findings(call),
        only_this_call=only_this_call(call),
        left_out=left_out(call),
        listed=call.stays[:MAX_TABLE_ROWS],
        charted=call.stays[: call.charted],
        stay_facts=stay_facts,
        call_facts=call_facts(call.session),
        warning_groups=warning_groups,
        sentences_of=sentences_of,
        states=WINDOW_STATES,
        event_groups=event_groups,
        limits={
            "warnings": MAX_WARNING_ROWS,
            "windows": MAX_WINDOW_ROWS,
            "ways": MAX_WAY_ROWS,
            "events": MAX_EVENT_ROWS,
            "columns": MAX_COLUMNS,
        },
        now=now,
    )
    return text.encode()


def _charts(call: CallContent) -> dict[str, Chart]:
    """Return the charts by the id of their element on the page."""
    charts = {"timeline": timeline(call)}
    for stay in call.stays[: call.charted]:
        if chart := stay_chart(call, stay):
            charts[f"stay-{stay.number}"] = chart
        if chart := sides_chart(stay):
            charts[f"sides-{stay.number}"] = chart
    return charts


def _template(call: CallContent) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "bits": bits,
        "clock": partial(clock, started_at=call.session["started_at"]),
        "duration": duration,
        "number": number,
        "percent": percent,
    }
    return environment.from_string(_file("page.html.j2"))


def script_json(value: object) -> str:
    """Return JSON that is safe in a script: nothing in it ends the script, or begins a comment."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def digest(script: str) -> str:
    """Return the hash by which a policy allows a script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
