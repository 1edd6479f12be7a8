"""Why the poor share changed: exact sums, no order of dimensions, the planted cause first, and nothing from nothing."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.support.changed_worlds import AFTER, BEFORE, VALUES, World, explain, opened, stays_of

DIMENSIONS = tuple(VALUES)

stay = some.tuples(
    some.sampled_from([BEFORE, AFTER]),
    some.sampled_from(["good", "poor", "unclassified"]),
    some.integers(0, 5),
    *(some.sampled_from([None, "a", "b"]) for _ in DIMENSIONS),
)


def columns_of(stays: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return stays as columns."""
    return dict(
        zip(("session_date", "class", "user_id", *DIMENSIONS), map(list, zip(*stays, strict=True)), strict=True)
    )


def parts_of(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of the change between these stays."""
    with opened(columns) as database:
        return explain(database)


def by_part(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the parts by dimension, value and kind."""
    return {(row["dimension"], row["value"], row["kind"]): row for row in rows}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(some.lists(stay, min_size=2, max_size=60))
def test_parts_add_up_to_the_change(stays: list[tuple[Any, ...]]) -> None:
    """The sum is the change, intervals are around contributions, and no unclassified stay counts."""
    rows = parts_of(columns_of(stays))
    judged = {
        day: [stay[1] == "poor" for stay in stays if stay[:1] == (day,) and stay[1] != "unclassified"]
        for day in (BEFORE, AFTER)
    }
    if not all(judged.values()):
        assert rows == []
        return
    change = np.mean(judged[AFTER]) - np.mean(judged[BEFORE])
    assert math.isclose(rows[0]["change"], change, abs_tol=1e-12)
    assert math.isclose(sum(row["contribution"] for row in rows), change, abs_tol=1e-12)
    for row in rows:
        assert row["low"] <= row["contribution"] <= row["high"]
        assert (row["judged_before"], row["judged_after"]) == tuple(map(len, judged.values()))
        left_out = [sum(stay[0] == day and stay[1] == "unclassified" for stay in stays) for day in (BEFORE, AFTER)]
        assert [row["left_out_before"], row["left_out_after"]] == left_out
    for dimension in DIMENSIONS:
        own = [row for row in rows if row["dimension"] == dimension and row["kind"] == "mix"]
        assert sum(row["n_before"] for row in own) == len(judged[BEFORE])
        if len(own) == 1:
            assert all(row["contribution"] == 0 for row in rows if row["dimension"] == dimension)


def test_contributions_are_shapley_values() -> None:
    """Each part is what its step adds to the model's share, averaged over all orders of the steps.

    The steps move the mix or the rates of a dimension from before to after.
    """
    columns = stays_of(World(3, worse={"2.0": 0.1, "sfu-2": 0.06}, moved={"cellular": 2}, stays=1500))
    columns |= {name: np.full(3000, "one") for name in ("country", "codec")}
    rows = parts_of(columns)
    wanted: dict[tuple[str, str], float] = defaultdict(float)
    model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        wanted[row["dimension"], row["kind"]] += row["contribution"]
        if row["kind"] == "mix":
            model[row["dimension"]].append(row)
    base = by_part(rows)["everywhere", "all", "rate"]

    def share(moved: set[tuple[str, str]]) -> float:
        total = base["effect_after" if ("everywhere", "rate") in moved else "effect_before"]
        for dimension, values in model.items():
            weight = "weight_after" if (dimension, "mix") in moved else "weight_before"
            effect = "effect_after" if (dimension, "rate") in moved else "effect_before"
            total += sum(value[weight] * value[effect] for value in values)
        return float(total)

    steps = [step for step in wanted if step[0] not in ("country", "codec")]
    shapley = dict.fromkeys(steps, 0.0)
    for step in steps:
        others = [other for other in steps if other != step]
        for size in range(len(steps)):
            share_of_orders = math.factorial(size) * math.factorial(len(steps) - size - 1) / math.factorial(len(steps))
            for first in itertools.combinations(others, size):
                shapley[step] += share_of_orders * (share({*first, step}) - share({*first}))
    assert shapley == pytest.approx({step: wanted[step] for step in steps}, abs=1e-9)
    assert math.isclose(share(set(steps)) - share(set()), rows[0]["change"], abs_tol=1e-9)
    assert max(abs(value) for value in shapley.values()) > 0.005


def test_order_of_dimensions_changes_nothing() -> None:
    """The same values under other dimensions get the same contributions."""
    columns = stays_of(World(5, worse={"2.0": 0.1}, moved={"cellular": 2}, stays=1000))
    turned = dict(zip(DIMENSIONS, DIMENSIONS[::-1], strict=True))
    rows = by_part(parts_of(columns))
    other = by_part(parts_of({turned.get(name, name): values for name, values in columns.items()}))
    for (dimension, value, kind), row in rows.items():
        moved = other[turned.get(dimension, dimension), value, kind]
        assert moved["contribution"] == pytest.approx(row["contribution"], abs=1e-9)
        assert [moved["low"], moved["high"]] == pytest.approx([row["low"], row["high"]], abs=1e-9)


def test_twins_share_equally() -> None:
    """Data cannot tell a version from a client if one is always with the other: each gets half."""
    columns = stays_of(World(7, worse={"sfu-3": 0.3}, stays=800))
    columns["codec"] = np.char.add("codec-", columns["current_sfu"].astype(str))
    rows = by_part(parts_of(columns))
    one, other = rows["current_sfu", "sfu-3", "rate"], rows["codec", "codec-sfu-3", "rate"]
    assert one["contribution"] == pytest.approx(other["contribution"], abs=1e-9)
    assert one["contribution"] > 0.02
    assert one["rank"] == other["rank"] == 1


def test_equal_spans_have_no_parts() -> None:
    """The same stays before and after: every contribution is 0, within rounding."""
    columns = stays_of(World(9, stays=500))
    before = columns["session_date"] == BEFORE
    twice = {name: np.concatenate([values[before], values[before]]) for name, values in columns.items()}
    twice["session_date"] = np.repeat([BEFORE, AFTER], before.sum())
    assert all(abs(row["contribution"]) < 1e-12 for row in parts_of(twice))


def test_worked_example() -> None:
    """By hand: cellular goes from 4 of 10 poor to 8 of 10, wifi stays at 0; then the mix alone changes."""

    def of(day: Any, network: str, good: int, poor: int) -> list[tuple[Any, ...]]:
        return [
            (day, verdict, number, network, *["same"] * 5)
            for number, verdict in enumerate(["good"] * good + ["poor"] * poor)
        ]

    rows = parts_of(columns_of([
        *of(BEFORE, "cellular", 60, 40), *of(BEFORE, "wifi", 100, 0),
        *of(AFTER, "cellular", 20, 80), *of(AFTER, "wifi", 100, 0),
    ]))  # fmt: skip
    assert (rows[0]["dimension"], rows[0]["value"], rows[0]["kind"], rows[0]["rank"]) == (
        "network_type", "cellular", "rate", 1,
    )  # fmt: skip
    assert rows[0]["contribution"] == pytest.approx(0.5 * 0.4, abs=1e-3)
    assert rows[0]["change"] == pytest.approx(0.2)
    assert rows[0]["low"] > 0
    rows = parts_of(columns_of([
        *of(BEFORE, "cellular", 25, 25), *of(BEFORE, "wifi", 150, 0),
        *of(AFTER, "cellular", 50, 50), *of(AFTER, "wifi", 100, 0),
    ]))  # fmt: skip
    mix = by_part(rows)["network_type", "cellular", "mix"]
    # From a quarter to a half of the stays, which are poor 0.5 more often than on wifi: against the mean of before,
    # 0.25 * (0.5 - 0.125) for cellular, and 0.25 * 0.125 for wifi.
    assert mix["rank"] == 1
    assert mix["contribution"] == pytest.approx(0.25 * 0.375, abs=3e-3)
    assert by_part(rows)["network_type", "wifi", "mix"]["contribution"] == pytest.approx(0.25 * 0.125, abs=3e-3)


def test_missing_values_are_a_value() -> None:
    """NULL is `unknown`, and can be the cause."""
    columns = stays_of(World(11, worse={"av1": 0.3}, stays=1000))
    columns["codec"] = [None if codec == "av1" else codec for codec in columns["codec"]]
    row = parts_of(columns)[0]
    assert (row["dimension"], row["value"], row["kind"], row["rank"]) == ("codec", "unknown", "rate", 1)


def test_few_stays_are_not_ranked() -> None:
    """Under 30 judged stays in a span there is no rank, but the sum is exact."""
    rows = parts_of(stays_of(World(13, stays=29)))
    assert {row["rank"] for row in rows} == {None}
    assert sum(row["contribution"] for row in rows) == pytest.approx(rows[0]["change"], abs=1e-12)


def test_new_version_that_replaces_another_is_mix() -> None:
    """A worse version that nobody had before comes first, as mix; also if everybody has it after."""
    row = parts_of(stays_of(World(15, worse={"2.0": 0.15}, missing=frozenset({"2.0"}), moved={"2.0": 3})))[0]
    assert (row["value"], row["kind"]) == ("2.0", "mix")
    columns = stays_of(World(15, worse={"wifi": 0.1, "cellular": 0.1, "ethernet": 0.1}))
    columns["client_version"] = np.where(columns["session_date"] == BEFORE, "1.0", "2.0")
    rows = parts_of(columns)
    assert rows[0]["dimension"] == "client_version"
    assert rows[0]["kind"] == "mix"


CAUSES = {
    "version": (World(0, worse={"2.0": 0.12}, follows=[("client_version", "2.0", "country", "Chile", 0.6)]),
                ("client_version", "2.0", "rate"), ("country", "Chile", "rate")),
    "network": (World(0, worse={"cellular": 0.1}, follows=[("network_type", "cellular", "client_name", "ios", 0.6)]),
                ("network_type", "cellular", "rate"), ("client_name", "ios", "rate")),
    "server": (World(0, worse={"sfu-3": 0.1}, follows=[("current_sfu", "sfu-3", "country", "Norway", 0.7)]),
               ("current_sfu", "sfu-3", "rate"), ("country", "Norway", "rate")),
    "mix": (World(0, moved={"cellular": 3}, follows=[("network_type", "cellular", "country", "Japan", 0.6)]),
            ("network_type", "cellular", "mix"), ("country", "Japan", "mix")),
}  # fmt: skip
"""Worlds with a cause, and what is innocent but comes with it."""


@pytest.mark.parametrize("name", CAUSES)
def test_planted_cause_is_first(name: str) -> None:
    """In three worlds of each kind the cause is first, and what came with it is below and far smaller."""
    world, cause, innocent = CAUSES[name]
    for seed in range(3):
        rows = parts_of(stays_of(World(**{**vars(world), "seed": 100 + seed})))
        assert (rows[0]["dimension"], rows[0]["value"], rows[0]["kind"]) == cause
        found = by_part(rows)
        assert found[innocent]["rank"] > 1
        assert abs(found[innocent]["contribution"]) < found[cause]["contribution"] / 2


def test_nothing_is_found_where_nothing_changed() -> None:
    """In eight worlds without a cause, at most one top interval is without 0."""
    tops = [parts_of(stays_of(World(200 + seed, stays=600, people=150)))[0] for seed in range(8)]
    assert sum(not top["low"] <= 0 <= top["high"] for top in tops) <= 1
