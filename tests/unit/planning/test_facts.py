"""Facts: what follows from the times of a call session and from the pages of a listing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.planning.facts import CallFacts, Listing
from pipeline.planning.windows import tile
from tests.support import CALL, at

MOMENT = timedelta(microseconds=1)
ENDED = CallFacts(CALL, started_at=at(10), ended_at=at(12), generated_at=at(12, 5))
LIVE = replace(ENDED, ended_at=None, generated_at=None)
HOURS = tile(at(10), at(12))
AFTERWARDS = at(13)
LISTED = at(12, 10)


def test_call_that_is_live_does_not_expire() -> None:
    """The 90 days count from the end of the call session."""
    assert LIVE.expires_at is None


def test_call_is_settled_once_it_has_ended_and_its_report_is_made() -> None:
    """The later of the two instants counts, and a live call is not settled."""
    assert ENDED.settled_at == at(12, 5)
    assert replace(ENDED, generated_at=at(11)).settled_at == at(12)
    assert replace(ENDED, generated_at=None).settled_at == at(12)
    assert LIVE.settled_at is None


@pytest.mark.parametrize(
    ("listing", "true"),
    [
        (Listing("no page", at(12)), set()),
        (Listing("one page", at(12), pages=1), {"complete"}),
        (Listing("more pages", at(12), pages=1, next_cursor="c"), {"interrupted"}),
        (Listing("failed", at(12), pages=1, next_cursor="c", failed=True, status=500), set()),
        (Listing("no response", at(12), failed=True), set()),
        (Listing("forbidden", at(12), failed=True, status=403), {"refused"}),
        (Listing("unknown", at(12), failed=True, status=404), {"refused", "gone"}),
    ],
    ids=lambda value: value.id if isinstance(value, Listing) else None,
)
def test_listing_is_judged_by_its_pages_and_its_latest_status(listing: Listing, true: set[str]) -> None:
    """A listing is complete, interrupted, gone or refused, or none of these."""
    properties = ("complete", "interrupted", "gone", "refused")
    assert {name for name in properties if getattr(listing, name)} == true
