"""The project's own tools: commit hooks, tasks and benchmarks run, offline and as documented."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TASKS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["poe"]["tasks"]


def call(*command: str, folder: Path = CHECKOUT, home: Path, code: int = 0) -> str:
    """Return what a command of the development install prints. It must exit with `code`."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "PRE_COMMIT_HOME": str(home / "pre-commit"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_hooks_fix_style_and_format_with_the_installed_ruff(tmp_path: Path) -> None:
    """On all files, without a network: badly formatted code fails the run and is fixed, and then the run passes."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copyfile(CHECKOUT / name, folder / name)
    module = folder / "module.py"
    module.write_text('"""A module."""\n\nimport sys\nimport os\nrepr( os.name,sys.path )\n', encoding="utf-8")
    call("git", "init", "--quiet", folder=folder, home=tmp_path)
    call("git", "add", ".", folder=folder, home=tmp_path)
    hooks = ["pre-commit", "run", "--all-files"]
    assert "files were modified by this hook" in call(*hooks, folder=folder, home=tmp_path, code=1)
    fixed = '"""A module."""\n\nimport os\nimport sys\n\nrepr(os.name, sys.path)\n'
    assert module.read_text(encoding="utf-8") == fixed
    call("git", "add", ".", folder=folder, home=tmp_path)
    assert call(*hooks, folder=folder, home=tmp_path).count("Passed") == 2
    version = call("ruff", "--version", home=tmp_path).split()[1]
    assert f"ruff=={version}" in (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_every_task_has_a_help_text(tmp_path: Path) -> None:
    """`poe --help` lists all tasks, each with a line of help."""
    listed = call("poe", "--help", home=tmp_path)
    for name, task in TASKS.items():
        assert f"  {name}" in listed
        assert task["help"] in listed


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_is_a_command_that_exists(task: str, tmp_path: Path) -> None:
    """A dry run finds every command of a task."""
    lines = call("poe", "--executor", "simple", "--dry-run", task, home=tmp_path).splitlines()
    commands = [line.removeprefix("Poe => ").split()[0] for line in lines if line.startswith("Poe => ")]
    assert commands
    for command in commands:
        assert (CHECKOUT / command).exists() or shutil.which(command, path=f"{BIN}:{os.environ['PATH']}"), command


def test_benchmarks_are_listed_by_name(tmp_path: Path) -> None:
    """`poe bench` without a name lists them; an unknown name is refused with the known ones."""
    names = [line.split()[0] for line in call("poe", "--quiet", "bench", home=tmp_path).splitlines()]
    assert {"explain", "flatten", "ingest", "lake", "scale", "soak", "views"} <= set(names)
    refusal = call("poe", "bench", "none", home=tmp_path, code=1)
    assert f"the benchmarks are {', '.join(names)}" in refusal
