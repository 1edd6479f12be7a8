"""Responses of participant timelines made into the table `timeline_events`: what happened to a person, as received.

Stream documents neither the types and severities of events nor their data, so nothing is made of them here. When the
table is built is in `tables.extra`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.landing.pages import body_places, usable_responses
from pipeline.schema import STAY_KEY
from pipeline.sql import read_statement
from pipeline.tables.provenance import Provenance
from pipeline.tables.rows import batches, number_runs, with_day, with_ids

__all__ = ["TIMELINE_TABLE", "flatten_timelines"]

TIMELINE_TABLE = "timeline_events"

BATCH_BYTES = 8 << 20
"""Characters of bodies to work on at a time."""


def flatten_timelines(sql: BodySql, day: date, landing: Landing, provenance: Provenance) -> Iterator[pa.Table]:
    """Yield the rows of a day, some whole stays at a time, in the order of the table."""
    responses = usable_responses(landing.index("participant_timeline", day))
    responses = responses.sort_by([(name, "ascending") for name in [*STAY_KEY, "n"]])
    stay = number_runs(responses, STAY_KEY)
    for start, stop in batches(stay, responses.column("body_bytes"), BATCH_BYTES):
        batch = responses.slice(start, stop - start)
        bodies = landing.bodies("participant_timeline", day, body_places(batch))
        provenance.search("participant_timeline", bodies)
        numbers = stay[start:stop] - stay[start]
        timelines = pa.table({"stay": pa.array(numbers), "n": batch.column("n"), "body": pa.array(bodies, pa.string())})
        rows = sql.query(read_statement("pipeline.tables", TIMELINE_TABLE), timelines=timelines)
        ids = batch.take(pa.array(np.flatnonzero(np.diff(numbers, prepend=-1)))).select(STAY_KEY)
        yield with_day(TIMELINE_TABLE, day, with_ids(rows, ids))
