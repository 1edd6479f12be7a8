"""Scripted faults occur as often as scripted, look as documented, and are counted."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.emulator import Emulator, Fault, FaultKind, ManualClock, StaySpec, WireFormat
from tests.support.emulator_reader import LATER, SMALL, SMALL_STAY, Reader, assert_refused, at, points, small_world

METRICS = "participant_metrics"


def meet(fault: Fault, timeout: float = 10) -> tuple[Emulator, httpx.Response | httpx.HTTPError]:
    """Return the response to a request that meets the fault, or the error; the next request must succeed."""
    met: httpx.Response | httpx.HTTPError
    with Emulator(small_world(), clock=LATER, faults=(fault,)) as emulator, Reader(emulator, timeout=timeout) as reader:
        try:
            met = reader.window(SMALL_STAY, at(10), at(10, 30))
        except httpx.HTTPError as error:
            met = error
        assert emulator.faults_met() == {str(fault.kind): 1}
        assert emulator.met(fault) == 1
        emulator.clear_faults()
        after = reader.window(SMALL_STAY, at(10), at(10, 30))
        assert [value for *_, value in points(after.json())] == [1, 2, 3, 4]
        assert emulator.faults_met() == {str(fault.kind): 1}
    return emulator, met


def response_to(fault: Fault) -> httpx.Response:
    """Return the response to a request that meets the fault."""
    _, met = meet(fault)
    assert isinstance(met, httpx.Response), met
    return met


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("rate_limited"), 429, 9),
        (Fault("server_error"), 500, -1),
        (Fault("server_error", status=502), 502, -1),
        (Fault("server_error", status=503), 503, -1),
        (Fault("server_error", status=504), 504, -1),
        (Fault("poisoned"), 500, -1),
        (Fault("bad_request"), 400, 4),
        (Fault("unauthorized"), 401, 5),
        (Fault("forbidden"), 403, 17),
        (Fault("not_found"), 404, 16),
    ],
)
def test_refusals_have_streams_status_and_code(fault: Fault, status: int, code: int) -> None:
    """Each kind has the body that the specification gives."""
    response = response_to(fault)
    assert_refused(response, status, code)
    assert "unrecoverable" not in response.json()


def test_unrecoverable_error_has_the_flag_in_its_body() -> None:
    """The flag is in the body, whatever the status."""
    response = response_to(Fault("unrecoverable", status=503))
    assert_refused(response, 503, -1)
    assert response.json()["unrecoverable"] is True


def test_gateway_error_is_an_html_page() -> None:
    """The body is HTML, with the status of the fault."""
    response = response_to(Fault("server_error", status=502, html=True, retry_after="seconds"))
    assert response.headers["retry-after"] == "1"
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert response.text.startswith("<html>")


@pytest.mark.parametrize("way", ["seconds", "absent", "http_date"])
def test_scripted_429_has_the_retry_after_of_the_fault(way: str) -> None:
    """The fault decides the form, whatever the emulator's own."""
    given = response_to(Fault("rate_limited", retry_after=way, retry_after_seconds=7)).headers.get("retry-after")
    if way == "http_date":
        assert parsedate_to_datetime(given) - LATER() == timedelta(seconds=7)
    else:
        assert given == {"seconds": "7", "absent": None}[way]


def test_retry_after_as_a_date_is_rounded_up() -> None:
    """A date has whole seconds, so a part of a second is rounded up."""
    fault = Fault("rate_limited", retry_after="http_date", retry_after_seconds=7)
    clock = ManualClock(at(12, 0, 0.25))
    with Emulator(small_world(), clock=clock, faults=(fault,)) as emulator, Reader(emulator) as reader:
        assert parsedate_to_datetime(reader.calls().headers["retry-after"]) == at(12, 0, 8)


def test_scripted_503_can_have_retry_after() -> None:
    """Retry-After is valid for a 503 too."""
    response = response_to(Fault("server_error", status=503, retry_after="seconds", retry_after_seconds=3))
    assert response.headers["retry-after"] == "3"
    assert "retry-after" not in response_to(Fault("server_error", status=503)).headers


def test_dropped_connection_has_no_response() -> None:
    """The client sees the server disconnect."""
    emulator, met = meet(Fault("dropped"))
    assert isinstance(met, httpx.RemoteProtocolError), met
    assert emulator.requests[0].status == 0


def test_truncated_body_is_shorter_than_its_content_length() -> None:
    """The client receives less than the header promises."""
    _, met = meet(Fault("truncated"))
    assert isinstance(met, httpx.RemoteProtocolError), met
    assert "body" in str(met)


def test_status_200_can_have_an_html_page_or_no_body() -> None:
    """The status and the content contradict each other."""
    page = response_to(Fault("not_json"))
    assert (page.status_code, page.text[:6]) == (200, "<html>")
    empty = response_to(Fault("empty_body"))
    assert (empty.status_code, empty.content, empty.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("shape", "look"),
    [
        ("list", lambda body: isinstance(body, list)),
        ("null", lambda body: body is None),
        ("string", lambda body: body == "ok"),
        ("nested", lambda body: list(body) == ["data"]),
        ("points", lambda body: body["published_tracks"] == {"unexpected": 1}),
    ],
)
def test_wrong_shape_is_valid_json_of_another_shape(shape: str, look: Any) -> None:
    """It parses, but is not the document of the specification."""
    response = response_to(Fault("wrong_shape", shape=shape))
    assert response.status_code == 200
    assert look(response.json())


def test_slow_and_dripping_responses_are_right_but_late() -> None:
    """The response is complete, and takes as long as scripted."""
    for kind in ("slow", "slow_drip"):
        began = time.monotonic()
        response = response_to(Fault(kind, delay_seconds=0.3))
        assert [value for *_, value in points(response.json())] == [1, 2, 3, 4]
        assert time.monotonic() - began >= 0.27


def test_hanging_request_gets_no_response() -> None:
    """The client gives up; the emulator keeps serving others."""
    _, met = meet(Fault("hang"), timeout=0.2)
    assert isinstance(met, httpx.ReadTimeout), met


def test_stop_does_not_wait_for_hanging_requests() -> None:
    """Requests in flight are interrupted at once."""
    with (
        ThreadPoolExecutor(1) as pool,
        Emulator(small_world(), clock=LATER, faults=(Fault("hang"),)) as emulator,
        Reader(emulator) as reader,
    ):
        pending = pool.submit(reader.attendance, SMALL)
        while not emulator.requests:
            time.sleep(0.005)
        emulator.stop()
        with pytest.raises(httpx.HTTPError):
            pending.result(timeout=5)


def test_shrunken_response_has_an_empty_list_and_its_totals() -> None:
    """Every endpoint with a list can respond as after expiry."""
    with Emulator(small_world(), clock=LATER, faults=(Fault("shrunken"),)) as emulator, Reader(emulator) as reader:
        page = reader.attendance(SMALL).json()
        assert (page["participants_sessions"], page["total_participant_sessions"]) == ([], 1)
        assert reader.calls().json()["call_stats"] == []
        window = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
        assert (window["published_tracks"], window["user_id"]) == ([], "ann")
        assert reader.stats(SMALL).json()["participants"] == []
        assert emulator.faults_met() == {"shrunken": 4}


@pytest.mark.parametrize(("unit", "ticks"), [("s", 1), ("float_s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_shifted_times_are_outside_the_window(unit: str, ticks: int) -> None:
    """The times move as scripted, in the unit of the response; the values stay."""
    fault = Fault("shifted", shift=timedelta(hours=-6))
    with (
        Emulator(small_world(), clock=LATER, faults=(fault,), wire=WireFormat(unit=unit)) as emulator,
        Reader(emulator) as reader,
    ):
        found = list(points(reader.window(SMALL_STAY, at(10), at(10, 30)).json(), 1 / ticks))
    assert [(time, value) for *_, time, value in found] == [(at(4, 10 * n).timestamp(), n + 1) for n in range(4)]


def test_times_limits_all_requests_and_each_limits_every_request() -> None:
    """A fault occurs three times in total, or twice for every window."""
    for fault, wanted in (
        (Fault("poisoned", times=3), [500, 500, 500, 200]),
        (Fault("poisoned", each=2), [500, 500, 500, 500]),
    ):
        with Emulator(small_world(), clock=LATER, faults=(fault,)) as emulator, Reader(emulator) as reader:
            windows = [(at(10), at(10, 30)), (at(10, 30), at(11))] * 2
            assert [reader.window(SMALL_STAY, *window).status_code for window in windows] == wanted
            assert [reader.window(SMALL_STAY, *window).status_code for window in windows] == [200] * 4


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ({"user_id": "ann"}, [500, 500, 200]),
        ({"user_session_id": "bob-1"}, [200, 200, 500]),
        ({"since": at(10, 30)}, [200, 500, 200]),
        ({"since": "2026-03-02T10:30:00Z"}, [200, 500, 200]),
        ({"until": at(10, 30)}, [500, 200, 500]),
        ({"covers": at(10, 29, 59)}, [500, 200, 500]),
        ({"covers": at(10, 30)}, [200, 500, 200]),
        ({"user_id": "ann", "covers": at(10, 30)}, [200, 500, 200]),
        ({"call_id": "other"}, [200, 200, 200]),
        ({"page": "later"}, [200, 200, 200]),
    ],
)
def test_fault_meets_only_the_requests_that_match(match: dict[str, Any], wanted: list[int]) -> None:
    """It matches by ids, by bounds and by an instant within the window; all must match."""
    stays = tuple(StaySpec(name, f"{name}-1", at(10), at(11)) for name in ("ann", "bob"))
    fault = Fault("poisoned", METRICS, match)
    with (
        Emulator(small_world(participants=stays), clock=LATER, faults=(fault,)) as emulator,
        Reader(emulator) as reader,
    ):
        wanted_windows = [("ann", at(10)), ("ann", at(10, 30)), ("bob", at(10))]
        responses = [
            reader.window((*SMALL, user, f"{user}-1"), since, since + timedelta(minutes=30))
            for user, since in wanted_windows
        ]
        assert reader.attendance(SMALL).status_code == 200
    assert [response.status_code for response in responses] == wanted


def test_fault_can_match_later_pages_only() -> None:
    """The first page is complete, the second is refused."""
    stays = tuple(StaySpec(f"u{n}", f"us{n}", at(10), at(11)) for n in range(3))
    fault = Fault("server_error", "participant_sessions", {"page": "later"}, status=503)
    with (
        Emulator(small_world(participants=stays), clock=LATER, faults=(fault,)) as emulator,
        Reader(emulator) as reader,
    ):
        first = reader.attendance(SMALL, limit=2)
        assert first.status_code == 200
        assert reader.attendance(SMALL, limit=2, next=first.json()["next"]).status_code == 503


def test_share_hits_the_same_requests_in_any_order() -> None:
    """The seed and the request decide, not the order of arrival."""
    world = small_world(participants=tuple(StaySpec(f"u{n}", f"us{n}", at(10), at(11)) for n in range(200)))
    sets = []
    for order, seed in ((range(200), 1), (reversed(range(200)), 1), (range(200), 2)):
        fault = Fault("server_error", METRICS, share=0.25, seed=seed)
        with Emulator(world, clock=LATER, faults=(fault,)) as emulator, Reader(emulator) as reader:
            window = (at(10), at(10, 30))
            responses = {n: reader.window((*SMALL, f"u{n}", f"us{n}"), *window).status_code for n in order}
            sets.append({n for n, status in responses.items() if status == 500})
            assert emulator.met(fault) == len(sets[-1])
    assert sets[0] == sets[1] != sets[2]
    assert all(25 < len(one) < 75 for one in sets)


def test_share_is_drawn_again_for_a_repeated_request() -> None:
    """A share below one does not fail a request forever."""
    fault = Fault("server_error", share=0.5, seed=3)
    with Emulator(small_world(), clock=LATER, faults=(fault,)) as emulator, Reader(emulator) as reader:
        statuses = Counter(reader.window(SMALL_STAY, at(10), at(10, 30)).status_code for _ in range(40))
    assert set(statuses) == {200, 500}
    assert 8 < statuses[500] < 32


def test_added_faults_occur_in_the_order_of_the_script() -> None:
    """The first fault that matches occurs, and each fault has its own count."""
    first, second = Fault("not_found", METRICS, times=1), Fault("forbidden", times=1)
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        emulator.add_faults(first, second)
        statuses = [reader.window(SMALL_STAY, at(10), at(10, 30)).status_code for _ in range(3)]
        assert statuses == [404, 403, 200]
        assert (emulator.met(first), emulator.met(second)) == (1, 1)
        assert [request.fault for request in emulator.requests] == ["not_found", "forbidden", None]


def test_every_kind_of_fault_is_tested_here() -> None:
    """A new kind of fault needs a test in this file."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in FaultKind if f'"{kind}"' not in text] == []
