"""The headers of responses: compression and the date."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

from pipeline.emulator import Emulator, ManualClock, skewed, uniform_world
from tests.support.emulator_reader import DAY, LATER, Reader, at, small_world


def test_responses_are_compressed_for_clients_that_accept_it() -> None:
    """The content is the same; a client that does not accept gzip gets none."""
    world = uniform_world(DAY.date(), 1, 1)
    call, stay = world.calls[0], world.calls[0].participants[0]
    ids = (*call.ids, stay.user_id, stay.user_session_id)
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        packed = reader.window(ids, at(0), at(0, 30))
        reader.client.headers["Accept-Encoding"] = "identity"
        plain = reader.window(ids, at(0), at(0, 30))
    assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.json() == plain.json()


def test_date_header_follows_the_emulators_clock() -> None:
    """A server with a wrong clock can be emulated."""
    with Emulator(small_world(), clock=ManualClock(at(12, 0, 1.5))) as emulator, Reader(emulator) as reader:
        assert parsedate_to_datetime(reader.calls().headers["date"]) == at(12, 0, 1)
        assert len(reader.calls().headers.get_list("date")) == 1


def test_skewed_clock_shows_in_the_date_header() -> None:
    """The clock is an hour fast, and runs."""
    with Emulator(small_world(), clock=skewed(timedelta(hours=1))) as emulator, Reader(emulator) as reader:
        # A token without times is good at any hour.
        date = reader.calls().headers["date"]
    assert 3590 < parsedate_to_datetime(date).timestamp() - time.time() < 3610
