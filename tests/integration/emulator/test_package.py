"""The package as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_package_imports_nothing_else_of_the_project() -> None:
    """A misreading in the client cannot be repeated by the emulator that tests it."""
    files = (ROOT / "pipeline" / "emulator").rglob("*.py")
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files}
    code = f"import sys, importlib; [importlib.import_module(name) for name in {sorted(modules)}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert {name for name in done.stdout.split() if name.startswith("pipeline")} == modules | {"pipeline"}
