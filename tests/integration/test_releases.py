"""A release that made calls worse, in both warehouses and in the schema of an app: the views, the macro, the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import LakeCatalog
from pipeline.orchestration.names import AppNames
from pipeline.orchestration.releases import release_result
from pipeline.quality.releases.compared import compared_releases
from pipeline.serving.query import print_result
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.load import Warehouse
from pipeline.warehouse.published import open_published
from tests.support import DAY
from tests.support.lakes import ManyDays
from tests.support.small_world import steady

PEOPLE = 300


class Released(ManyDays):
    """A day with two versions: 1 of 30 is poor with 1.9.2, 1 of 3 with 1.10.0. A tenth have too little data."""

    def __init__(self) -> None:
        super().__init__([DAY], people=0)
        for version, poor_every in (("1.9.2", 30), ("1.10.0", 3)):
            for number in range(PEOPLE):
                user = f"user-{version}-{number}"
                self.stay(
                    user,
                    client_name="web",
                    client_version=version,
                    network_type="wifi" if number % 2 else None,
                    os="macOS 14",
                )
                length = 5 if number % 10 == 9 else 60
                framerate = 3 if number % poor_every == 0 else 30
                self.track(steady(0, length, 15, framerate=framerate), user_id=user, user_session_id=user)
        self.stay("mute", client_name=None, client_version=None)


def published(kind: str, folder: Path, setting: str) -> tuple[Path | LakeCatalog, list[dict[str, Any]]]:
    """Load the day into a warehouse of a kind: a file, or a lake of a setting, which may be an app's.

    Returns where it is, and its releases as the check reads them.
    """
    source = Released()
    if kind == "file":
        warehouse = Warehouse(folder / "published.duckdb", folder / "writer.duckdb")
        warehouse.load(source, source.days())
        with warehouse.reading() as database:
            return folder / "published.duckdb", compared_releases(database)
    app = "support" if kind == "app of a lake" else None
    catalog = LakeCatalog.parse(setting, folder / "data", app=app)
    lake = DuckLake(catalog, turns=choose_turns(catalog, f"{folder / 'data'}", folder / "locks"))
    lake.load(source, source.days())
    with lake.reading() as database:
        releases = compared_releases(database)
    lake.close()
    return catalog, releases


@pytest.mark.parametrize(
    ("kind", "lake_setting"),
    [
        ("file", "file"),
        ("lake", "file"),
        ("lake", "postgres"),
        pytest.param("app of a lake", "file", marks=pytest.mark.slow),
        pytest.param("app of a lake", "postgres", marks=pytest.mark.slow),
    ],
    indirect=["lake_setting"],
)
def test_release_is_compared(kind: str, lake_setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The views and the macro have the same figures everywhere, and the check says them in a sentence."""
    warehouse, releases = published(kind, tmp_path, lake_setting)
    with open_published(warehouse) as database:
        listed = database.execute(
            "SELECT client_version, stays, publishers, poor, poor_share, first_day FROM client_releases"
        ).fetchall()
        rows = database.execute("FROM release_comparison").to_arrow_table().to_pylist()
    judged = PEOPLE * 9 // 10
    assert listed == [
        ("1.9.2", PEOPLE, judged, 10, 10 / judged, DAY),
        ("1.10.0", PEOPLE, judged, 90, 90 / judged, DAY),
    ]
    (row,) = rows
    assert (row["client_version"], row["baseline_version"], row["verdict"]) == ("1.10.0", "1.9.2", "worse")
    assert (row["strata"], row["people"], row["covered_share"]) == (2, judged, 1)

    print_result(warehouse, "FROM compare_releases('web', '1.10.0', '1.9.2')", "json")
    (printed,) = json.loads(capsys.readouterr().out)
    assert printed == pytest.approx(row)

    names = AppNames("support" if kind == "app of a lake" else None)
    result = release_result(releases, names)
    assert result.asset_key is not None
    assert result.asset_key.path == names.key("warehouse", "participant_sessions")
    assert (result.passed, result.severity.value) == (False, "WARN")
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    assert result.description == (
        f"web 1.10.0: 33.3 % of {judged} publishers poor, {100 * row['difference']:.1f} points ({low:.1f} to "
        f"{high:.1f}) more than with 1.9.2 on like networks and countries"
    )


def test_check_says_what_it_compared() -> None:
    """It passes with numbers if nothing is worse, and without any if there is too little data."""
    release = {
        "client_name": "web",
        "client_version": "2.1.0",
        "baseline_version": "2.0.3",
        "publishers": 3010,
        "poor_share": 0.0412,
        "difference": 0.002,
        "difference_low": -0.015,
        "difference_high": 0.019,
        "verdict": "no difference seen",
    }
    found = release_result([release])
    assert found.passed
    assert found.description == (
        "1 release compared, none is worse: web 2.1.0: 4.1 % of 3,010 publishers poor, +0.2 points (-1.5 to "
        "+1.9), so no difference seen, compared with 2.0.3 on like networks and countries"
    )
    better = release | {"verdict": "better", "difference": -0.03, "difference_low": -0.05, "difference_high": -0.01}
    assert f"{release_result([better]).description}".endswith(
        "poor, 3.0 points (1.0 to 5.0) fewer than with 2.0.3 on like networks and countries"
    )
    nothing = release_result([])
    assert (nothing.passed, nothing.metadata["compared"].value) == (True, 0)
