"""Metrics as text, by OpenMetrics 1.0 (github.com/prometheus/OpenMetrics, specification/OpenMetrics.md).

All metrics are gauges. So the text is also valid in the older text format of Prometheus, the only one that the textfile
collector of node_exporter reads. Which metrics there are is in `metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Gauge", "render"]

PREFIX = "call_metrics_"

UNITS = ("seconds", "bytes")
"""Units that a name may end with."""

Value = int | float | datetime


@dataclass(frozen=True)
class Gauge:
    """One metric.

    Attributes:
        name: without the prefix; ends with the unit, if it has one.
        help: its meaning, in one sentence.
        samples: value by label value. Without a label, the key is "". An instant is written as Unix time in seconds.
        label: the label that distinguishes samples, if there are several.
    """

    name: str
    help: str
    samples: Mapping[str, Value]
    label: str = ""

    @classmethod
    def of(cls, name: str, help_text: str, value: Value) -> Gauge:
        """Return a metric with one value."""
        return cls(name, help_text, {"": value})


def render(gauges: Iterable[Gauge], **common: str) -> str:
    """Return the text, with labels that all samples have. A gauge without samples is left out."""
    return "".join(f"{line}\n" for gauge in gauges if gauge.samples for line in _lines(gauge, common)) + "# EOF\n"


def _lines(gauge: Gauge, common: Mapping[str, str]) -> Iterator[str]:
    name = f"{PREFIX}{gauge.name}"
    yield f"# HELP {name} {_escaped(gauge.help)}"
    yield f"# TYPE {name} gauge"
    unit = name.rpartition("_")[2]
    if unit in UNITS:
        yield f"# UNIT {name} {unit}"
    for key, value in gauge.samples.items():
        labels = {**common, gauge.label: key} if gauge.label else common
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _number(value: Value) -> str:
    return f"{round(value.timestamp(), 3)}" if isinstance(value, datetime) else f"{value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
