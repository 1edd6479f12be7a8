"""How often a release is called worse if a job looks every night: a small version of `tests.bench.releases`."""

from __future__ import annotations

import pytest

from tests.support.release_nights import judge

LOOKS = range(3, 60, 8)


def test_planted_worsening_is_found() -> None:
    """From 4 % to 7 % poor, 3,000 publishers each: called worse in nine of ten worlds at least, better in none."""
    called = judge("from 4 % to 7 %", 10, looks=LOOKS)
    assert called.worse >= 9
    assert called.better == 0


@pytest.mark.parametrize(
    ("world", "worlds", "plain"), [("only on bad networks", 10, 10), ("five stays a person", 24, 8)]
)
def test_innocent_release_is_not_blamed(world: str, worlds: int, plain: int) -> None:
    """No world is called worse, though a plain test each night blames every release, or one of three."""
    called = judge(world, worlds, looks=LOOKS, seed=1)
    assert called.worse == 0
    assert called.plain >= plain
