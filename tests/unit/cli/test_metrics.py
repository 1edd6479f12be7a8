"""The metrics of `call-metrics status --format openmetrics`: read by Prometheus' own parsers."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from pipeline.cli import metrics
from pipeline.cli.metrics import day_gauges
from pipeline.cli.openmetrics import Gauge, render
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import no_final_response, suspect_timestamps
from pipeline.schema import WINDOW_STATES
from tests.support import DAY, at, judged_day

DUE = judged_day(
    calls=2, promised=3, held=2, windows={"landed": 4, "missing": 1}, due=1, problems=[no_final_response(1, 1)]
)
WHOLE = replace(DUE, day=DAY + timedelta(days=1), held=3, windows={"landed": 5}, due=0, problems=[], first_expiry=None)


def values(*days: DayCompleteness, at_hour: float = 24 * 80, never: int = 0) -> dict[str, float]:
    """Return the values of the metrics of days, as a collector reads them, by name and label."""
    lost = [DAY - timedelta(days=back) for back in range(1, never + 1)]
    text = render(day_gauges(days, lost, at(at_hour)))
    return {
        " ".join([sample.name.removeprefix("call_metrics_"), *sample.labels.values()]): sample.value
        for family in read_openmetrics(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("read", [read_openmetrics, read_text])
def test_text_is_read_by_both_parsers(read: object) -> None:
    """By OpenMetrics' for a collector that asks for it, and by the older one, which node_exporter has."""
    gauges = [
        Gauge.of("bytes", "A text with a \\ and\na line", 5),
        Gauge("windows", "By state", {'a"b\\c\nd': 1, "e": 2.5}, "state"),
        Gauge.of("seen_timestamp_seconds", "An instant", at(1)),
        Gauge("nothing", "Without samples", {}, "state"),
    ]
    text = render(gauges, app="support")
    assert text.endswith("# EOF\n")
    one, two, three = read(text)  # type: ignore[operator]
    assert (one.name, one.documentation) == ("call_metrics_bytes", "A text with a \\ and\na line")
    assert [(sample.labels, sample.value) for sample in one.samples] == [({"app": "support"}, 5)]
    assert [sample.labels["state"] for sample in two.samples] == ['a"b\\c\nd', "e"]
    assert three.samples[0].value == at(1).timestamp()
    assert {family.type for family in (one, two, three)} == {"gauge"}


def test_unit_is_told_where_there_is_one() -> None:
    """OpenMetrics requires that a name ends with its unit."""
    families = read_openmetrics(render([Gauge.of("raw_bytes", "Bytes", 1), Gauge.of("calls", "Calls", 1)]))
    assert [family.unit for family in families] == ["bytes", ""]


def test_days_are_counted_and_not_listed() -> None:
    """The number of samples does not grow with the days, and every state is there, also with 0."""
    found = values(DUE, WHOLE, never=3)
    assert (found["days complete"], found["days in_progress"], found["days incomplete"]) == (1, 0, 1)
    assert (found["days_never_fetched"], found["calls"], found["windows_due"]) == (3, 4, 1)
    assert (found["stays_promised"], found["stays_held"]) == (6, 5)
    assert {name.removeprefix("windows ") for name in found if name.startswith("windows ")} == set(WINDOW_STATES)
    assert (found["windows landed"], found["windows missing"], found["windows failed"]) == (9, 1, 0)
    many = [replace(WHOLE, day=DAY + timedelta(days=more)) for more in range(50)]
    assert values(*many).keys() == values(WHOLE).keys()


def test_first_of_what_is_missing_is_forgotten() -> None:
    """Its instant and the seconds until then; days that were never fetched count, whole and expired ones do not."""
    found = values(DUE, WHOLE)
    assert found["missing_forgotten_timestamp_seconds"] == at(24 * 90 + 11).timestamp()
    assert found["missing_forgotten_seconds"] == (24 * 10 + 11) * 3600
    assert values(DUE, never=1)["missing_forgotten_timestamp_seconds"] == at(24 * 89).timestamp()
    assert values(DUE, at_hour=24 * 90 + 12)["missing_forgotten_seconds"] == 0
    suspect = replace(DUE, problems=[suspect_timestamps(1)])  # another request would not bring anything better
    for nothing in (values(WHOLE), values(suspect), values(DUE, at_hour=24 * 92)):
        assert "missing_forgotten_timestamp_seconds" not in nothing
        assert "missing_forgotten_seconds" not in nothing
        assert not any(map(math.isnan, nothing.values()))


def test_every_metric_is_documented() -> None:
    """The page names all metrics that there are, and no other."""
    tree = ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "Gauge" in ast.unparse(node.func)]
    names = {f"call_metrics_{call.args[0].value}" for call in calls if isinstance(call.args[0], ast.Constant)}
    assert len(names) > 20
    page = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert set(re.findall(r"call_metrics_\w+", page)) == names
