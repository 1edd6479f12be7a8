"""Runs a benchmark by name: `python -m tests.bench [NAME [ARGUMENT ...]]`. Without a name, lists them."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Return the first line of each benchmark's docstring, by name. Only benchmarks define `main`."""
    found = {}
    for path in sorted(FOLDER.glob("[a-z]*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


known = benchmarks()
if len(sys.argv) < 2:
    print("\n".join(f"{name:12} {summary}" for name, summary in known.items()))
elif sys.argv[1] in known:
    name = sys.argv.pop(1)
    runpy.run_module(f"tests.bench.{name}", run_name="__main__", alter_sys=True)
else:
    sys.exit(f"{sys.argv[1]} is not a benchmark; the benchmarks are {', '.join(known)}")
