"""What the macro `explain_change` returns, as values, and the days of its spans without data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.sql import read_statement
from pipeline.warehouse.published import open_published

__all__ = ["Explanation", "Part", "Span", "explain"]


@dataclass(frozen=True)
class Span:
    """Days from `first` to `last`, both included; a day is a UTC `session_date`. Raises `FixSettings` if swapped."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise FixSettings(f"{self.last} is before {self.first}; swap them")

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.first != self.last else f"{self.first}"

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    def before(self) -> Span:
        """Return the span of the same length just before. Raises `FixSettings` if the calendar does not go so far."""
        try:
            return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))
        except OverflowError:
            raise FixSettings(f"there are not {self.days} days before {self.first}; set --against") from None

    def overlaps(self, other: Span) -> bool:
        """Return whether a day is in both."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Part:
    """One part of a change: the columns of a row of `explain_change` that are about the part, see there."""

    rank: int | None
    dimension: str
    value: str
    client_name: str | None
    kind: str
    contribution: float
    low: float
    high: float
    n_before: int
    n_after: int
    poor_share_before: float | None
    poor_share_after: float | None
    weight_before: float
    weight_after: float
    effect_before: float
    effect_after: float

    @property
    def is_certain(self) -> bool:
        """Whether its interval is without 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Explanation:
    """Why the poor share changed from one span to another.

    Attributes:
        span: the days that are explained.
        against: the days that they are compared with.
        parts: all parts, the most important first; empty without judged stays in one of the spans.
        totals: the columns of `explain_change` that are the same in all rows; empty if `parts` is.
        unpublished: days of both spans that are not in the database.
    """

    span: Span
    against: Span
    parts: tuple[Part, ...]
    totals: dict[str, Any]
    unpublished: tuple[date, ...]

    @property
    def is_ranked(self) -> bool:
        """Whether both spans have enough judged stays for a ranking."""
        return bool(self.parts) and self.parts[0].rank is not None


def explain(published: Path | LakeCatalog, span: Span, against: Span) -> Explanation:
    """Return the explanation of a change, from a published database.

    Raises `FixSettings` if the spans overlap, `FixStorage` if the database is missing or too old.
    """
    if span.overlaps(against):
        raise FixSettings(
            f"{span} and {against} have days in common; let --against end before --from or begin after --to"
        )
    ends = {
        "since": span.first,
        "until": span.last,
        "against_since": against.first,
        "against_until": against.last,
    }
    with open_published(published) as database:
        try:
            rows = database.execute(read_statement("pipeline.serving.changes", "explain"), ends).to_arrow_table()
            loaded = database.execute("SELECT DISTINCT session_date FROM store.loaded").fetchall()
        except duckdb.Error as error:
            raise FixStorage(
                f"{published} cannot explain changes ({without_password(first_line(error))}); "
                "`call-metrics rebuild` rebuilds it"
            ) from None
    own = set(Part.__dataclass_fields__)
    found = rows.to_pylist()
    return Explanation(
        span=span,
        against=against,
        parts=tuple(Part(**{name: row[name] for name in own}) for row in found),
        totals={name: value for name, value in found[0].items() if name not in own} if found else {},
        unpublished=_unpublished({day for (day,) in loaded}, against, span),
    )


def _unpublished(loaded: set[date], *spans: Span) -> tuple[date, ...]:
    """Return the days of the spans that are not loaded."""
    return tuple(
        day
        for span in spans
        for day in (span.first + timedelta(days=number) for number in range(span.days))
        if day not in loaded
    )
