"""Problems: the sentences about what is missing."""

from __future__ import annotations

import pytest

from pipeline.planning import problems
from pipeline.planning.problems import Problem
from tests.support import at


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        (problems.calls_not_listed(), "calls", "its call sessions have not been listed yet"),
        (problems.listing_incomplete(), "calls", "the list of its call sessions is incomplete"),
        (
            problems.listed_too_early(at(20)),
            "calls",
            "its call sessions were last listed at 2026-11-01 20:00 UTC, before the day was over",
        ),
        (
            problems.calls_still_live(1, at(20)),
            "calls",
            "1 call session was still live when last fetched, at 2026-11-01 20:00 UTC",
        ),
        (
            problems.calls_still_live(2, at(20)),
            "calls",
            "2 call sessions were still live when last fetched, at 2026-11-01 20:00 UTC",
        ),
        (
            problems.still_live(at(20)),
            "calls",
            "the call was still live when last fetched, at 2026-11-01 20:00 UTC; later data is not stored",
        ),
        (problems.still_live(None), "calls", "the call was still live when last fetched; later data is not stored"),
        (problems.completeness_unknown(), "calls", "the database does not say how complete the call is"),
        (
            problems.participants_not_listed(),
            "stays",
            "the participants have not been listed in full since the call's report",
        ),
        (
            problems.participants_not_listed("default:standup"),
            "stays",
            "the participants of default:standup have not been listed in full since the call's report",
        ),
        (problems.stays_missing(1, 3), "stays", "1 of 3 stays are stored"),
        (problems.stays_missing(1, 3, "default:standup"), "stays", "1 of 3 stays of default:standup are stored"),
        (problems.no_final_response(1), "windows", "1 window has no final response"),
        (problems.no_final_response(2), "windows", "2 windows have no final response"),
        (problems.no_final_response(1, 1), "windows", "1 window of 1 stay has no final response"),
        (problems.no_final_response(3, 2), "windows", "3 windows of 2 stays have no final response"),
        (
            problems.no_final_response(3, missing=1),
            "windows",
            "3 windows have no final response (1 not requested yet)",
        ),
        (
            problems.no_final_response(3, missing=1, failed=2),
            "windows",
            "3 windows have no final response (1 not requested yet, 2 failed after all retries)",
        ),
        (problems.suspect_timestamps(1), "suspect", "1 window has timestamps that cannot be right"),
        (problems.suspect_timestamps(2), "suspect", "2 windows have timestamps that cannot be right"),
    ],
    ids=str,
)
def test_problem_is_a_sentence_in_singular_or_plural(problem: Problem, kind: str, text: str) -> None:
    """Each problem has its kind, and a sentence that can follow the name of a day or a call."""
    assert (problem.kind, str(problem)) == (kind, text)


def test_problem_escapes_ids_that_would_control_a_terminal() -> None:
    """Ids are the source's; a sentence stays on one line."""
    text = str(problems.stays_missing(1, 2, of="default:a\x1b[31m\nb\u202e"))
    assert text == "1 of 2 stays of default:a\\x1b[31m\\nb\\u202e are stored"
    assert "\\x1b" in str(problems.participants_not_listed("\x1b"))


def test_problem_becomes_a_sentence_of_its_own() -> None:
    """It gets a capital letter and a full stop."""
    assert problems.sentence(problems.suspect_timestamps(1)) == "1 window has timestamps that cannot be right."
    assert problems.sentence(problems.calls_not_listed()) == "Its call sessions have not been listed yet."


@pytest.mark.parametrize(("count", "text"), [(0, "0 stays"), (1, "1 stay"), (2, "2 stays")])
def test_count_has_its_noun_in_the_right_number(count: int, text: str) -> None:
    """Only one is singular."""
    assert problems.counted(count, "stay") == text
