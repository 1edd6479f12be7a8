"""Fingerprints of tables change when the statements that make rows change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pipeline

CHANGE_EACH = """
import pathlib, sys
from pipeline import sql
from pipeline.landing import bodies
from pipeline.tables import provenance
root = pathlib.Path(sys.argv[1]) / "pipeline"
assert pathlib.Path(sql.__file__).is_relative_to(sys.argv[1])
seen = [provenance.fingerprint()]
def change(path, text):
    path.write_text(path.read_text() + text)
    sql.read_statement.cache_clear()
    bodies.macros.cache_clear()
    provenance.rules.cache_clear()
    seen.append(provenance.fingerprint())
paths = sorted(path for room in ("landing", "planning", "tables") for path in (root / room / "sql").glob("*.sql"))
for path in paths:
    change(path, " + another rule")
assert len(set(seen)) == len(seen) > 10, seen
last = seen[-1]
for path in paths:
    change(path, "-- another comment" + chr(10))
assert set(seen[-len(paths):]) == {last}
"""


def test_fingerprint_changes_with_every_statement_that_makes_rows(tmp_path: Path) -> None:
    """A changed SQL statement changes the fingerprint, and a changed comment does not."""
    shutil.copytree(Path(pipeline.__file__).parent, tmp_path / "pipeline")
    command = [sys.executable, "-c", CHANGE_EACH, str(tmp_path)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
