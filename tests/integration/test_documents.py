"""The documents are true: every code block runs, and every output that they show is the real one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, ManualClock, demo_world
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings
from tests.support.documents import ROOT, Document, checkout, requirements_of, show, shows
from tests.support.flows import days_from

TODAY = date(2026, 11, 23)
"""The day on which the documents are read: the demo's data depend on it."""

PATHS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("answers/*.md")]
)
"""All documents except the reference pages, which are made from the code."""

LONG = {"README.md", "CONTRIBUTING.md", "docs/backup.md", "docs/bi.md", "docs/dagster.md", "docs/ducklake.md"}
"""Those that install the project, start servers or run many backfills."""

NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
    for name in (f"{path.relative_to(ROOT)}" for path in PATHS)
]


@pytest.fixture(scope="module")
def source() -> Iterator[Emulator]:
    """Yield the demo's API on that day."""
    with Emulator(demo_world(TODAY, 2), clock=ManualClock(datetime(2026, 11, 23, 3, tzinfo=UTC))) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def data(source: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the demo's two days."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    settings = Settings(api_key=KEY, api_secret=Secret(SECRET), base_url=source.url, data=folder)
    with Flow(settings) as flow:
        for day in days_from(date(2026, 11, 21), 2):
            assert flow.run(day).is_complete
    return folder


def test_documents_never_reach_the_data_of_a_user(tmp_path: Path) -> None:
    """A document runs in a copy of the checkout that has the project's own files and nothing else that lies there."""
    root = tmp_path / "root"
    for name in ("calls/raw", "data/raw", "pipeline", "tour"):
        (root / name).mkdir(parents=True)
    (root / ".env").touch()
    (root / "README.md").touch()
    folder = checkout(tmp_path / "checkout", root)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "pipeline"]


@pytest.mark.parametrize("name", NAMES)
def test_document_runs_and_shows_real_output(
    name: str, source: Emulator, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Run a document from top to bottom in a checkout with the demo's data."""
    path = ROOT / name
    if missing := requirements_of(path):
        pytest.skip(f"needs {', '.join(missing)}")
    folder = checkout(tmp_path / "checkout")
    shutil.copytree(data, folder / "data")
    variables = {"STREAM_API_KEY": KEY, "STREAM_API_SECRET": SECRET, "STREAM_BASE_URL": source.url}
    real = []
    with Document(path, folder, variables) as document:
        for block, output in document.run():
            real.append((block, output))
            if not request.config.getoption("--update-documents"):
                assert shows(block, output), f"{path.name}, line {block.first_line} shows\n{block.text}\nreal\n{output}"
    if request.config.getoption("--update-documents"):
        show(path, real)
