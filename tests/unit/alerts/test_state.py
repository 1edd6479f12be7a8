"""What is remembered: a cause is told once, its end once, to each address, and an unknown changes nothing."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.alerts.causes import Cause
from pipeline.alerts.state import Look, State, read_state, write_state
from pipeline.settings import Secret
from pipeline.storage import as_file

NOW = datetime(2026, 11, 26, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DISK = Cause("disk", "disk:data", "The disk is nearly full", "text", "remedy", is_failure=True)
WORSE = Cause("release", "release:web 2", "A release is worse", "text", "remedy")
PAST = Cause("incident", "incident:1", "Incident", "text", "remedy", is_past=True)


def look(*causes: Cause, at: datetime = NOW, kinds: tuple[str, ...] = ("disk",)) -> Look:
    return Look(at, causes, frozenset(kinds))  # type: ignore[arg-type]


def tell(state: State, *tags: str) -> tuple[State, list[tuple[str, bool]]]:
    """Tell everything that is owed. Returns keys, and whether each was the end."""
    told = []
    for tag in tags:
        for item, is_end in list(state.owed(tag)):
            state = state.with_told(item.cause.key, tag, is_end=is_end)
            told.append((item.cause.key, is_end))
    return state, told


def test_cause_is_told_once_and_its_end_once() -> None:
    """However often it is looked at; afterwards nothing is remembered."""
    state, told = tell(State().after(look(DISK)), "a")
    assert told == [(DISK.key, False)]
    for hours in (1, 2, 30):
        state, told = tell(state.after(look(DISK, at=NOW + hours * HOUR)), "a")
        assert not told
    state, told = tell(state.after(look(at=NOW + 40 * HOUR)), "a")
    assert told == [(DISK.key, True)]
    state = state.without_settled({"a"}, NOW + 40 * HOUR)
    assert not state.causes
    assert not tell(state.after(look(at=NOW + 50 * HOUR)), "a")[1]


def test_cause_that_comes_back_after_its_end_was_told_is_told_again() -> None:
    """It is another one."""
    state, _ = tell(State().after(look(DISK)), "a")
    state, _ = tell(state.after(look(at=NOW + HOUR)), "a")
    state, told = tell(state.after(look(DISK, at=NOW + 2 * HOUR)), "a")
    assert told == [(DISK.key, False)]


def test_what_could_not_be_looked_at_stays_open() -> None:
    """No news is not good news."""
    state, _ = tell(State().after(look(DISK)), "a")
    state, told = tell(state.after(look(at=NOW + HOUR, kinds=("quota",))), "a")
    assert not told
    assert state.causes[DISK.key].is_open


def test_older_look_does_not_count() -> None:
    """A look takes a while, and another process may have looked later."""
    state = State().after(look(DISK, at=NOW + HOUR))
    assert state.after(look(at=NOW)).causes[DISK.key].is_open
    assert not State().after(look(at=NOW + HOUR)).after(look(DISK, at=NOW)).causes


def test_event_counts_without_a_look() -> None:
    """A run that fails is told when it fails, and other kinds are not touched."""
    failed = Cause("run", "run:1", "A run failed", "text", "remedy", frozenset({"2026-11-25"}))
    state = State().after(look(DISK)).after(Look(NOW, (failed,)))
    assert set(state.causes) == {DISK.key, "run:1"}
    assert set(tell(state, "a")[1]) == {(DISK.key, False), ("run:1", False)}


def test_each_address_is_told_by_itself() -> None:
    """One that did not accept a message is told later; a new address is told what is open."""
    state, _ = tell(State().after(look(DISK)), "a")
    state, told = tell(state.after(look(DISK, at=NOW + HOUR)), "a", "b")
    assert told == [(DISK.key, False)]
    state, told = tell(state.after(look(at=NOW + 2 * HOUR)), "a")
    assert told == [(DISK.key, True)]
    assert state.without_settled({"a", "b"}, NOW + 2 * HOUR).causes  # b has not been told yet
    assert not state.without_settled({"a", "b"}, NOW + timedelta(days=31)).causes


def test_cause_that_was_over_before_it_could_be_told_is_told_with_its_end() -> None:
    """It is not lost, and needs one message only."""
    _, told = tell(State().after(look(DISK)).after(look(at=NOW + HOUR)), "a")
    assert told == [(DISK.key, True)]


def test_release_is_over_after_three_days() -> None:
    """A verdict near its limit comes and goes with each day."""
    day = timedelta(days=1)
    state, _ = tell(State().after(look(WORSE, kinds=("release",))), "a")
    for number in (1, 2):
        state, told = tell(state.after(look(at=NOW + number * day, kinds=("release",))), "a")
        assert not told
    state = state.after(look(WORSE, at=NOW + 3 * day, kinds=("release",)))
    for number in (4, 5, 6):
        state, told = tell(state.after(look(at=NOW + number * day, kinds=("release",))), "a")
        assert not told
    state, told = tell(state.after(look(at=NOW + 7 * day, kinds=("release",))), "a")
    assert told == [(WORSE.key, True)]


def test_past_cause_is_one_message() -> None:
    """It is found again by each look for some days, and has no end of its own."""
    state, told = tell(State().after(look(PAST, kinds=("incident",))), "a")
    assert told == [(PAST.key, False)]
    for hours in (1, 20):
        state, told = tell(state.after(look(PAST, at=NOW + hours * HOUR, kinds=("incident",))), "a")
        assert not told
        state = state.without_settled({"a"}, NOW + hours * HOUR)
    state, told = tell(state.after(look(at=NOW + 100 * HOUR, kinds=("incident",))), "a")
    assert not told
    assert not state.without_settled({"a"}, NOW + timedelta(days=40)).causes


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With all causes, instants and tags."""
    file = as_file(tmp_path / "alerts.json")
    assert not read_state(file).causes
    failed = Cause("run", "run:1", "t", "x", "r", frozenset({"2026-11-25", "2026-11-24"}))
    state, _ = tell(State().after(look(DISK, PAST, kinds=("disk", "incident"))).after(Look(NOW, (failed,))), "a")
    state = state.after(replace(look(at=NOW + HOUR), endings={DISK.key: "It went away."}))
    write_state(file, state)
    assert read_state(file) == state


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"salt": 1, "causes": [{}], "looked": {}}', "\x00"])
def test_file_that_is_not_ours_is_written_anew(content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is open is told once more, rather than never."""
    (tmp_path / "alerts.json").write_text(content)
    with caplog.at_level(logging.WARNING, "pipeline"):
        assert not read_state(as_file(tmp_path / "alerts.json")).causes
    assert "cannot be used and is written anew" in caplog.text


def test_no_address_is_stored(tmp_path: Path) -> None:
    """What stands for one has 16 bits, from which nobody learns a password, and differs with each file."""
    address = Secret("mailto://me:hunter2@mail.example")
    state = State()
    assert len(state.tag(address)) == 4
    assert {State().tag(address) for _ in range(20)} != {state.tag(address)}
    state, _ = tell(state.after(look(DISK)), state.tag(address))
    write_state(as_file(tmp_path / "alerts.json"), state)
    stored = json.loads((tmp_path / "alerts.json").read_text())
    assert "hunter2" not in json.dumps(stored)
    assert stored["causes"][0]["told"] == [state.tag(address)]
