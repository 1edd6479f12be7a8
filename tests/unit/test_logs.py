"""What is logged on standard error: its two forms, who is heard, and what Dagster hears."""

from __future__ import annotations

import ast
import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.logs import FIELDS, JsonFormatter, are_json, to_stderr

OURS = "pipeline.extract.client"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was written to standard error, one JSON object a line."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Instant, level, logger, message, known fields, and nothing else of a record, on one line of ASCII."""
    with to_stderr("json", logging.INFO):
        assert are_json()
        logging.getLogger(OURS).warning(
            "two\nlines of %s", "ann é", extra={"day": date(2026, 11, 1), "status": 404, "token": "secret"}
        )
    assert not are_json()
    text = capsys.readouterr().err
    assert text.isascii()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": OURS,
        "message": "two\nlines of ann é",
        "day": "2026-11-01",
        "status": 404,
    }


def test_instant_is_utc_with_milliseconds() -> None:
    """It is ISO 8601 and the time of the record; a text that no encoding has does not break the line."""
    created = datetime(2026, 11, 1, 10, 0, 0, 250_000, UTC).timestamp()
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"created": created, "msg": "\udcff"})))
    assert (line["timestamp"], line["message"]) == ("2026-11-01T10:00:00.250Z", "\udcff")


def test_exception_is_one_string(capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback has line feeds, and stays on the line of its message."""
    with to_stderr("json", logging.INFO):
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger(OURS).exception("it broke")
    (line,) = lines(capsys)
    assert line["message"] == "it broke"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: why")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        (logging.DEBUG, ["detail", "news", "trouble", "their trouble"]),
        (logging.INFO, ["news", "trouble", "their trouble"]),
        (logging.ERROR, []),
    ],
)
def test_level_is_for_our_modules(level: int, heard: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Of other libraries, which log addresses with keys, only warnings are heard, however much we log."""
    theirs = logging.getLogger("httpx")
    before = theirs.level
    theirs.setLevel(logging.DEBUG)
    try:
        with to_stderr("json", level):
            for say, text in ((logging.DEBUG, "detail"), (logging.INFO, "news"), (logging.WARNING, "trouble")):
                logging.getLogger(OURS).log(say, text)
                theirs.log(say, f"their {text}")
    finally:
        theirs.setLevel(before)
    assert [line["message"] for line in lines(capsys)] == heard


def test_text_is_the_message_and_details_have_their_time_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees sentences; with details each line has when, how bad and where from."""
    with to_stderr("text", logging.INFO):
        logging.getLogger(OURS).info("a sentence")
        assert not are_json()
        with to_stderr("text", logging.DEBUG):
            logging.getLogger(OURS).debug("a detail")
        logging.getLogger(OURS).debug("not heard any more")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "a sentence"
    assert second.endswith(f"Z DEBUG {OURS}: a detail")


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
def test_dagster_hears_the_same_whatever_we_print(level: int) -> None:
    """It listens to the logger `pipeline` and sets its level: details do not fill its records, and news get there."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    top, listener = logging.getLogger("pipeline"), Listener()
    before = top.level
    top.addHandler(listener)
    try:
        with to_stderr("text", level):
            top.setLevel(logging.INFO)
            logging.getLogger(OURS).debug("detail")
            logging.getLogger(OURS).info("news")
    finally:
        top.removeHandler(listener)
        top.setLevel(before)
    assert heard == ["news"]


def test_loggers_are_afterwards_as_they_were() -> None:
    """A block that ends leaves nothing behind, for whoever runs a command within a process."""
    watched = [logging.getLogger(name) for name in ("", "pipeline", "pipeline.extract", "pipeline.files")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in watched]
    with to_stderr("text", logging.DEBUG), to_stderr("json", logging.ERROR):
        pass
    assert [(logger.level, logger.propagate, list(logger.handlers)) for logger in watched] == before


def test_every_field_that_we_log_is_known() -> None:
    """A name that is not in the list would be left out without a word."""
    used = set()
    for path in Path(pipeline.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                used |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    assert {"day", "endpoint", "waits_for"} <= used
    assert used <= set(FIELDS)
