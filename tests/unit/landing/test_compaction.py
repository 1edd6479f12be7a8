"""Compaction: nothing is lost or doubled, whatever is killed, erased, broken or read meanwhile."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FixStorage, Quarantined
from pipeline.landing import compaction
from pipeline.landing.compaction import MAX_SMALL_SEGMENTS, compact_day, is_scattered
from pipeline.landing.landing import COMPACTED, Landing
from pipeline.landing.segment import INDEX_COLUMNS
from pipeline.storage import LocalStore
from tests.support import DAY, examples
from tests.support.responses import METRICS, land, landed, landed_places, metrics_response

MANY = 12
BODIES = [f"[{number}]" for number in range(MANY)]
FOLDERS = itertools.count()


class Killed(BaseException):
    """The process was killed."""


class KillingStore(LocalStore):
    """A store whose process is killed at its n-th step: before or after a file appears, or after one is deleted."""

    def __init__(self, root: Path, steps: int) -> None:
        super().__init__(root)
        self.steps = steps

    @contextmanager
    def adding(self, key: str) -> Iterator[Path]:
        with super().adding(key) as path:
            yield path
            self._take_step()
        self._take_step()

    def delete(self, *keys: str) -> None:
        for key in keys:
            super().delete(key)
            self._take_step()

    def _take_step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            raise Killed


def scatter(landing: Landing, bodies: list[str] = BODIES) -> None:
    """Land each body in a segment of its own."""
    land(landing, *([metrics_response(body)] for body in bodies))


def requests(landing: Landing) -> list[dict[str, Any]]:
    """Return the rows of the index, without where their bodies are."""
    return landing.index(METRICS, DAY).select(INDEX_COLUMNS).to_pylist()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let compacted segments hold five short bodies."""
    monkeypatch.setattr(compaction, "COMPACTED_BYTES", sum(map(len, BODIES[:5])))
    monkeypatch.setattr(compaction, "ROW_GROUP_BYTES", len(BODIES[0]) + 1)


def test_compaction_keeps_rows_and_their_order(tmp_path: Path) -> None:
    """One segment holds what many held; the day landed in the same segments as before."""
    landing = Landing(tmp_path)
    scatter(landing)
    before, origins = requests(landing), landing.origins(METRICS, DAY)
    assert is_scattered(landing, DAY)
    assert compact_day(landing, DAY) == MANY
    for reader in (landing, Landing(tmp_path)):
        (name,) = reader.names(METRICS, DAY)
        assert COMPACTED in name
        assert (requests(reader), landed(reader)) == (before, BODIES)
        assert (reader.origins(METRICS, DAY), reader.leftovers(METRICS, DAY)) == (origins, [])
        assert reader.newest(METRICS, DAY) == before[-1]
        assert not is_scattered(reader, DAY)
    assert [path.name for path in landing.folder(METRICS, DAY).iterdir()] == [name]


def test_compaction_leaves_few_segments_alone(tmp_path: Path) -> None:
    """Files of a small day stay as they landed."""
    landing = Landing(tmp_path)
    scatter(landing, BODIES[:MAX_SMALL_SEGMENTS])
    before = landing.names(METRICS, DAY)
    assert not is_scattered(landing, DAY)
    assert (compact_day(landing, DAY), landing.names(METRICS, DAY)) == (0, before)


@pytest.mark.usefixtures("small")
def test_compaction_makes_segments_of_a_bounded_size(tmp_path: Path) -> None:
    """A segment that is half full is not written again, and a small one is, with those that landed later."""
    landing = Landing(tmp_path)
    scatter(landing)
    compact_day(landing, DAY)
    first = landing.names(METRICS, DAY)
    assert len(first) == 3
    assert landed(landing) == BODIES
    scatter(landing, BODIES)
    origins = landing.origins(METRICS, DAY)
    compact_day(landing, DAY)
    second = landing.names(METRICS, DAY)
    assert second[:2] == first[:2]
    assert len(second) < 8
    assert landed(landing) == [*BODIES, *BODIES]
    assert landing.origins(METRICS, DAY) == origins


@pytest.mark.usefixtures("small")
def test_compaction_can_be_killed_at_any_step(tmp_path: Path) -> None:
    """Readers find every row once and in order, before and after the next compaction."""
    scatter(Landing(tmp_path / "day"))
    expected = requests(Landing(tmp_path / "day")), BODIES, Landing(tmp_path / "day").origins(METRICS, DAY)
    for steps in itertools.count(1):
        folder = tmp_path / f"killed-{steps}"
        shutil.copytree(tmp_path / "day", folder)
        is_killed = False
        try:
            compact_day(Landing(KillingStore(folder, steps)), DAY)
        except Killed:
            is_killed = True
            landing = Landing(folder)
            assert (requests(landing), landed(landing), landing.origins(METRICS, DAY)) == expected
            compact_day(Landing(folder), DAY)
        landing = Landing(folder)
        assert (requests(landing), landed(landing), landing.origins(METRICS, DAY)) == expected
        assert landing.leftovers(METRICS, DAY) == []
        if not is_killed:
            break
    assert steps == MANY + 2 * 3 + 1


STEPS = st.one_of(
    st.tuples(st.just("land"), st.integers(1, 6)),
    st.tuples(st.just("compact"), st.integers(0, 25)),
    st.tuples(st.just("erase"), st.integers(0, 9)),
)


@given(st.lists(STEPS, max_size=12))
@examples(25)
@pytest.mark.usefixtures("small")
def test_any_history_keeps_every_row_once(tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    """Whatever lands, is compacted, killed and erased in any order, readers see what a list would hold."""
    folder = tmp_path / str(next(FOLDERS))
    held: list[str] = []
    count = 0
    for name, number in steps:
        if name == "land":
            new = [f"[{count + offset}]" for offset in range(number)]
            count += number
            scatter(Landing(folder), new)
            held += new
        elif name == "compact":
            with suppress(Killed):
                compact_day(Landing(KillingStore(folder, number)), DAY)
        else:
            Landing(folder).rewrite(METRICS, DAY, lambda rows, digit=f"{number}]": without(rows, digit))
            held = [body for body in held if not body.endswith(f"{number}]")]
            for path in (folder / METRICS).rglob("*.parquet"):
                assert not any(body.endswith(f"{number}]") for body in bodies_in(path))
        assert landed(Landing(folder)) == held


def without(rows: pa.Table, end: str) -> pa.Table:
    """Leave out the responses whose body ends so."""
    return rows.filter(pc.invert(pc.ends_with(rows.column("body"), end)))


def bodies_in(path: Path) -> list[str]:
    """Return the bodies in a file, replaced or not."""
    return pq.read_table(path, partitioning=None).column("body").to_pylist()


def test_erasure_after_compaction_keeps_what_it_replaces(tmp_path: Path) -> None:
    """A rewritten segment still replaces what it replaced, and the day still landed in the same segments."""
    landing = Landing(tmp_path)
    scatter(landing)
    origins = landing.origins(METRICS, DAY)
    compact_day(landing, DAY)
    assert landing.rewrite(METRICS, DAY, lambda rows: without(rows, "3]")) == 1
    assert landed(Landing(tmp_path)) == [body for body in BODIES if body != "[3]"]
    assert Landing(tmp_path).origins(METRICS, DAY) == origins


def test_broken_compacted_segment_is_quarantined(tmp_path: Path) -> None:
    """Its content counts as not landed; what it replaced counts again if it is still there."""
    landing = Landing(tmp_path)
    scatter(landing)
    with pytest.raises(Killed):
        compact_day(Landing(KillingStore(tmp_path, 5)), DAY)
    (path,) = landing.folder(METRICS, DAY).glob(f"*{COMPACTED}*")
    path.write_bytes(b"nonsense")
    assert landed(Landing(tmp_path)) == BODIES[3:]
    assert len(list(path.parent.glob("*.set-aside-*"))) == 1


def test_reader_without_the_lock_survives_a_compaction(tmp_path: Path) -> None:
    """It lists the day again if segments are gone, and sees every row once."""
    scatter(Landing(tmp_path))
    compacting = threading.Event()

    class SlowStore(LocalStore):
        def open(self, key: str) -> Any:
            if not compacting.is_set():
                compacting.set()
                compact_day(Landing(tmp_path), DAY)
            return super().open(key)

    landing = Landing(SlowStore(tmp_path))
    assert [row["user_id"] for row in requests(landing)] == ["ann"] * MANY
    assert landed(landing) == BODIES


def test_bodies_that_were_compacted_are_looked_up_again(tmp_path: Path) -> None:
    """Places are those of an older index, so the caller must read the index again."""
    landing = Landing(tmp_path)
    scatter(landing)
    places = landed_places(landing)
    compact_day(Landing(tmp_path), DAY)
    with pytest.raises(Quarantined, match="was removed meanwhile; reading the folder again"):
        landing.bodies(METRICS, DAY, places)
    assert landed(landing) == BODIES


def test_folder_that_lists_what_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that lags for long must not look as if nothing had landed."""
    monkeypatch.setattr("pipeline.landing.landing.LISTING_PAUSES", (0.0, 0.0))
    scatter(Landing(tmp_path), BODIES[:2])

    class LaggingStore(LocalStore):
        def names(self, folder: str = "") -> list[str]:
            return [*super().names(folder), "20990101T000000.000000Z-00000000.parquet"]

    with pytest.raises(FixStorage, match="still lists files that it no longer has; run again in a minute"):
        Landing(LaggingStore(tmp_path)).index(METRICS, DAY)
