"""Provenance: fingerprints of tables, hashes of raw bodies, and counts of unknown fields."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipeline.model import Call
from pipeline.schema import CALL_KEY
from pipeline.tables.provenance import Provenance, fingerprint
from tests.support import CALL, DAY
from tests.support.responses import CLIENT, SECOND, TEN, Day, metrics_response, track


def test_fingerprint_changes_with_any_of_its_parts() -> None:
    """Equal parts give equal fingerprints however a table is chunked, and any difference gives another one."""
    table = pa.table({"a": [1, 2, 3]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    original = fingerprint(DAY, ["s1", "s2"], table)
    assert original == fingerprint(date(2026, 11, 1), ["s1", "s2"], chunked)
    others = [
        fingerprint(date(2026, 11, 2), ["s1", "s2"], table),
        fingerprint(DAY, ["s1"], table),
        fingerprint(DAY, ["s1", "s2"], table.slice(1)),
        fingerprint(DAY, ["s1", "s2"], table.rename_columns(["b"])),
        fingerprint(DAY, ["s1", "s2"]),
    ]
    assert len({original, *others}) == 6


def test_provenance_counts_unknown_fields_once_per_response(tmp_path: Path) -> None:
    """Unknown fields are counted by name, and the fields that we know are still read."""
    new = {
        "published_tracks": [track([TEN, 1], jitter={"data_points": []}), track(track_id="b", jitter=1)],
        "client": {**CLIENT, "os": "linux"},
        "region": "eu",
        "é": 1e400,
    }
    day = Day(
        tmp_path,
        metrics_response(json.dumps(new).replace("Infinity", "1e400")),
        metrics_response({"region": None}, SECOND),
    )
    assert day.provenance.unknown_fields == {"published_tracks[].jitter": 1, "client.os": 1, "region": 2, "é": 1}
    assert len(day.points()) == 1


def rows(*calls: Call) -> pa.Table:
    """Return one row per body, with the ids of its call session."""
    return pa.table(dict(zip(CALL_KEY, map(list, zip(*(call.key for call in calls), strict=True)), strict=True)))


def test_provenance_hashes_the_bodies_of_each_call_in_order() -> None:
    """The hash of a call session follows from its own bodies and their order, in however many parts they come."""
    other = Call("default", "other", "o1")

    def digests(*parts: tuple[list[Call], list[str]]) -> dict[str, str]:
        provenance = Provenance()
        for calls, bodies in parts:
            provenance.add("participant_metrics", rows(*calls), bodies)
        return {row["call_id"]: row["raw_sha256"] for row in provenance.digests().to_pylist()}

    whole = digests(([CALL, other, CALL], ["{}", "[]", " {} "]))
    assert whole == digests(([CALL], ["{}"]), ([other, CALL], ["[]", " {} "]))
    assert whole["standup"] == hashlib.sha256(b"{} {} ").hexdigest()
    assert whole["other"] == hashlib.sha256(b"[]").hexdigest()
    assert digests(([CALL, CALL], [" {} ", "{}"]))["standup"] != whole["standup"]


def test_provenance_without_bodies_has_no_hashes() -> None:
    """The table has all its columns and no row, also if bodies were only searched."""
    provenance = Provenance()
    provenance.search("call_stats", ['{"call_stats": [], "region": "eu"}'])
    assert provenance.digests().column_names == [*CALL_KEY, "raw_sha256"]
    assert provenance.digests().num_rows == 0
    assert provenance.unknown_fields == {"region": 1}
