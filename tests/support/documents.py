"""Runs the code blocks of a document, and compares the output that the document shows with the real one.

A document is run from top to bottom in one folder, like a reader would. What a block is follows from its language:

- `sh` is run by bash; exported variables last until the end of the document. `sh server` is started in the background
  and left running until the end; the rest of the line after `server` is the text that says it is ready. A port that a
  document names after `--port` or `--health-port` is replaced by a free one everywhere in the document.
- `python` is run as a program of its own, `sql` by `call-metrics sql`.
- `text` after one of these is its output. A line `…` in it stands for any lines.
- `diagram` is a drawing. Any other language is a file: `yaml file=x.yaml` writes it. Without `file=` it must parse.

`sh data=elsewhere` runs with another data folder, for blocks that would change the data that others show.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from tests.support import free_port

__all__ = ["Block", "Document", "blocks_of", "checkout", "requirements_of", "show", "shows"]

ROOT = Path(__file__).parents[2]
PLACEHOLDERS = {
    "STREAM_API_KEY=…": "STREAM_API_KEY=emulator",
    "STREAM_API_SECRET=…": "STREAM_API_SECRET=emulator-secret-for-local-use-only",
}
"""What a reader has to fill in."""

DOCTOR = """call-metrics() { command call-metrics "$@" || { [ $? = 1 ] && [ "$1" = doctor ]; }; }"""
"""The source's clock shows the day on which the documents are read, and `doctor` reports that with exit code 1."""

SECONDS = 150
"""Most seconds that a block may take."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and the lines of its text in the document."""

    language: str
    attributes: str
    text: str
    first_line: int
    last_line: int

    @property
    def file(self) -> str | None:
        """Return the path of the file that the block is written to, if any."""
        found = re.search(r"file=(\S+)", self.attributes)
        return found[1] if found else None


def blocks_of(path: Path) -> list[Block]:
    """Return the fenced blocks of a Markdown document."""
    found = []
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map is not None:
            language, _, attributes = token.info.strip().partition(" ")
            found.append(Block(language, attributes, token.content, token.map[0] + 1, token.map[1] - 1))
    return found


CHECKOUT = (
    *("pipeline", "tests", "docs", "deploy", "pyproject.toml", "constraints.txt", "dagster.yaml", "workspace.yaml"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
)
"""What a document finds in a checkout. Anything else there is the user's own, such as a folder with real data."""


def checkout(folder: Path, root: Path = ROOT) -> Path:
    """Return a folder that looks like a checkout of the project, in which a document can leave files."""
    folder.mkdir(parents=True)
    for name in CHECKOUT:
        if (root / name).exists():
            (folder / name).symlink_to(root / name)
    return folder


class Document:
    """One document, run in `folder`. A context manager: at its end all servers are stopped."""

    def __init__(self, path: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self.path = path
        self._folder = folder
        self._shims = folder / ".shims"
        _write_shims(self._shims)
        self._variables = {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **variables,
            "PATH": os.pathsep.join([str(self._shims), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "--collect-only -q -n 0",  # a document that says how to run the tests does not run them
        }
        self._ports = _own_ports(path)
        self._servers = ExitStack()

    def __enter__(self) -> Document:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def run(self) -> Iterator[tuple[Block, str]]:
        """Run all blocks in order. Yields each block that shows output, with the real output."""
        output = None
        for shown in blocks_of(self.path):
            block = self._with_own_ports(shown)
            if block.language == "text":
                assert output is not None, f"{self._where(block)}: no block before it has output"
                yield shown, output
            elif block.language == "sh" and block.attributes.startswith("server"):
                self._start(block)
            elif block.file is not None:
                target = self._folder / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text, encoding="utf-8")
            elif block.language in ("sh", "sql", "python"):
                output = self._output_of(block)
            elif block.language != "diagram":
                _parse(block, self._where(block))

    def _with_own_ports(self, block: Block) -> Block:
        """Replace the ports that the document's servers listen on by free ones: tests run at the same time."""
        text, attributes = block.text, block.attributes
        for port, own in self._ports.items():
            text, attributes = text.replace(port, own), attributes.replace(port, own)
        return replace(block, text=text, attributes=attributes)

    def _output_of(self, block: Block) -> str:
        if block.language == "sh":
            kept = self._folder / ".variables"
            elsewhere = re.search(r"data=(\S+)", block.attributes)
            before = f"export CALL_METRICS_DATA={elsewhere[1]}" if elsewhere else ""
            after = "unset CALL_METRICS_DATA" if elsewhere else ""
            script = f"set -e\n{DOCTOR}\n{before}\n{_filled(block.text)}\n{after}\nenv -0 > {shlex.quote(str(kept))}"
            output = self._finish(block, ["bash", "-c", script])
            lines = kept.read_bytes().decode().split("\0")
            self._variables = dict(line.split("=", 1) for line in lines if "=" in line)
            return output
        if block.language == "sql":
            return self._finish(block, ["call-metrics", "sql", block.text])
        return self._finish(block, [sys.executable, "-c", block.text])

    def _finish(self, block: Block, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._variables, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, f"{self._where(block)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def _start(self, block: Block) -> None:
        ready = block.attributes.removeprefix("server").strip()
        process = subprocess.Popen(
            ["bash", "-c", f"exec {_filled(block.text).strip()}"],
            cwd=self._folder,
            env=self._variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._servers.callback(_end, process)
        lines: list[str] = []
        is_ready = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as output:
                for line in output:
                    lines.append(line)
                    if ready in line:
                        is_ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert is_ready.wait(SECONDS), f"{self._where(block)}: {''.join(lines)[-2000:]}"

    def _where(self, block: Block) -> str:
        return f"{self.path.relative_to(ROOT)}, line {block.first_line}"


def _own_ports(path: Path) -> dict[str, str]:
    """Return a free port for each port that a block of a document passes to a server."""
    text = "\n".join(block.text for block in blocks_of(path))
    return {port: str(free_port()) for port in re.findall(r"--(?:health-)?port (\d+)", text)}


def shows(block: Block, output: str) -> bool:
    """Return whether a block shows an output, except for what its lines `…` leave out."""
    shown = "\n".join(line.rstrip() for line in block.text.splitlines()).strip("\n")
    real = "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")
    pattern = re.escape(shown).replace(re.escape("\n…\n"), r"\n(?:.*\n)*").replace(re.escape("\n…"), r"(?:\n.*)*")
    return re.fullmatch(pattern, real) is not None


def show(path: Path, outputs: Iterable[tuple[Block, str]]) -> None:
    """Write the real outputs into a document, except into blocks that leave lines out."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for block, output in reversed(list(outputs)):
        if "…" not in block.text.splitlines():
            lines[block.first_line : block.last_line] = [line.rstrip() for line in output.strip("\n").splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def requirements_of(path: Path) -> list[str]:
    """Return the programs and packages that the blocks of a document need and that are not installed."""
    text = "\n".join(block.text for block in blocks_of(path))
    programs = [name for name in ("npm", "duckdb", "dg") if re.search(rf"^(?:.*&& )?{name} ", text, re.MULTILINE)]
    modules = set(re.findall(r"^import (\w+)|^from (\w+)", text, re.MULTILINE))
    names = {name for pair in modules for name in pair if name and name != "tour"}
    extra = {"streamlit"} if "call-metrics dashboard" in text else set()
    missing = [
        name
        for name in programs
        if shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") is None
    ]
    return missing + sorted(name for name in names | extra if importlib.util.find_spec(name) is None)


def _filled(text: str) -> str:
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text


def _parse(block: Block, where: str) -> None:
    parsers = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
    assert block.language in parsers, f"{where}: a block in {block.language!r} is neither run nor written to a file"
    parsers[block.language](block.text)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


BIN = shlex.quote(str(Path(sys.executable).parent))
SHIM = f"""#!/usr/bin/env bash
# Stands in for the installation that a document begins with: everything is installed already.
case "$(basename "$0") $*" in
  "python3 -m venv "*)
    bin="${{@: -1}}/bin"
    mkdir -p "$bin"
    ln -sf "$(dirname "$0")/pip" "$bin/pip"
    for name in call-metrics pytest poe; do ln -sf {BIN}/$name "$bin/"; done
    touch "$bin/activate" ;;
  "pip install "*) exec {BIN}/python -m tests.support.documents "$@" ;;
  "poe "*) exec {BIN}/python -m poethepoet --dry-run "$@" ;;
  *) exec {BIN}/python "$@" ;;
esac
"""


def _write_shims(folder: Path) -> None:
    folder.mkdir()
    for name in ("python3", "pip", "poe"):
        path = folder / name
        path.write_text(SHIM)
        path.chmod(0o755)


def _check_installation(arguments: list[str]) -> None:
    """Check `pip install`: constraints exist, and extras of this project are its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for place, argument in enumerate(arguments):
        if argument == "-c":
            assert (ROOT / arguments[place + 1]).exists()
        if found := re.fullmatch(r"(?:\.|call-metrics)\[(.*)\]", argument):
            assert set(found[1].split(",")) <= set(project["optional-dependencies"]), argument


if __name__ == "__main__":
    _check_installation(sys.argv[1:])
