"""When the tables of participant details and timelines are built: those that a setting switches on.

Each has a fingerprint of its own, so that what lands later does not rebuild the other tables of the day. What their
rows contain is in `details` and `timeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipeline.endpoints import EndpointName
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.planning.inventory import DayInventory
from pipeline.tables.details import DETAIL_TABLE, flatten_details
from pipeline.tables.lake import Lake
from pipeline.tables.provenance import Provenance, fingerprint, is_outdated
from pipeline.tables.timeline import TIMELINE_TABLE, flatten_timelines

__all__ = ["EXTRA_TABLES", "ExtraTable", "build_extra"]

NOTHING = "none"
"""In a fingerprint: no response had landed."""


@dataclass(frozen=True)
class ExtraTable:
    """A table that is made of the responses of one endpoint alone.

    Attributes:
        endpoint: the endpoint.
        flatten: yields the rows of a day, in the order of the table.
    """

    endpoint: EndpointName
    flatten: Callable[[BodySql, date, Landing, Provenance], Iterator[pa.Table]]


EXTRA_TABLES: Mapping[str, ExtraTable] = {
    DETAIL_TABLE: ExtraTable("participant_details", flatten_details),
    TIMELINE_TABLE: ExtraTable("participant_timeline", flatten_timelines),
}
"""The tables by name."""


def build_extra(
    table: str,
    day: date,
    inventory: DayInventory,
    landing: Landing,
    lake: Lake,
    provenance: Provenance,
    *,
    temporary: Path,
    look: bool,
    rebuild: bool = False,
) -> bool:
    """Build one of these tables of a day if its inputs changed (or if `rebuild`), and return whether it was built.

    Without `look` (details are off), a table by our rules stays as it is, and a day without any tables gets an empty
    one: neither costs a look at the raw responses. Call it before the other tables of the day are built. Raises
    `Quarantined` for a broken segment, and `FixStorage`.
    """
    source = EXTRA_TABLES[table]
    held = lake.fingerprint(table, day)
    people = fingerprint(day, inventory.rows.participants)
    if not (look or rebuild or held is None or is_outdated(held)) and (
        held.startswith(people) or held.endswith(NOTHING)
    ):
        return False
    may_have_landed = look or rebuild or lake.has("windows", day)
    segments = landing.origins(source.endpoint, day) if may_have_landed else []
    mark = f"{people}-{fingerprint(segments).rpartition('-')[2] if segments else NOTHING}"
    if held == mark and not rebuild:
        return False
    with lake.writer(table, day, mark) as writer:
        if segments:
            with BodySql(temporary) as sql:
                for rows in source.flatten(sql, day, landing, provenance):
                    writer.write(rows)
    return True
