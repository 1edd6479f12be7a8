"""What is refused before a value is looked at: unknown names, lines that cannot be read, paths of another kind."""

from __future__ import annotations

import contextlib
import difflib
import logging
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pipeline.errors import FixSettings
from pipeline.settings.values import shown

__all__ = ["refuse_unknown", "refuse_unless", "refusing_unparsed_lines"]

PREFIX = "CALL_METRICS_"


@contextlib.contextmanager
def refusing_unparsed_lines(path: Path) -> Iterator[None]:
    """Within the block, refuse a line that python-dotenv would skip with a warning."""
    logger = logging.getLogger("dotenv.main")
    lines: list[object] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.extend(record.args if isinstance(record.args, tuple) else ())
        return False

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
    if lines:
        raise FixSettings(f"{path} has a line that cannot be read, from line {lines[0]} on; write NAME=value")


def refuse_unknown(names: Iterable[str], variables: Iterable[str]) -> None:
    """Refuse a name that has our prefix but is not a setting. The sentence has the setting that was probably meant."""
    own = sorted(variable for variable in variables if variable.startswith(PREFIX))
    for name in names:
        if name.startswith(PREFIX) and name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(own)}"
            raise FixSettings(f"{name} is not a setting of Call Metrics; {hint}")


def refuse_unless(kind: Literal["folder", "file"], name: str, path: Path) -> None:
    """Refuse a path that exists and is of another kind, or that the system refuses."""
    try:
        mode = path.stat().st_mode
        usable = stat.S_ISDIR(mode) if kind == "folder" else stat.S_ISREG(mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        why = f"which cannot be used ({error.strerror}); write another path"
        raise FixSettings(f"{name} is {shown(path)}, {why}") from None
    if not usable:
        raise FixSettings(f"{name} is {shown(path)}, which is not a {kind}; write the name of a {kind}")
