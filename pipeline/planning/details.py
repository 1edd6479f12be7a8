"""Which participant details and participant timelines are due. Pure functions.

They are requested once a call session is settled: it has ended, and its report is made. A response from then on is
final, and so is a refusal: an app may have no details at all (403, 404), or none of one stay. Details come in windows;
a timeline is one request, whose window is the whole stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from pipeline.model import Call, Stay, Window
from pipeline.planning.due import by_urgency, stay_span
from pipeline.planning.facts import CallFacts, StayFacts, WindowRequest, is_refusal
from pipeline.planning.windows import DETAILS_WINDOW, is_final, tile

__all__ = ["PROBES", "details_windows", "due_details", "probes_left", "probes_of", "timeline_windows"]

PROBES = 3
"""Stays whose details, or timelines, are requested one by one before we conclude that an app has none."""

StayWindow = tuple[Stay, Window]


def details_windows(facts: StayFacts) -> list[Window]:
    """Return the windows that cover a stay, `DETAILS_WINDOW` each, in order; none while its call session is live."""
    span = stay_span(facts)
    return [] if span is None or facts.call.is_live else tile(*span, DETAILS_WINDOW)


def timeline_windows(facts: StayFacts) -> list[Window]:
    """Return the window that a timeline is requested for, the whole stay; none while its call session is live."""
    span = stay_span(facts)
    return [] if span is None or facts.call.is_live else [Window(span[0], max(span))]


def due_details(
    stays: Mapping[Stay, StayFacts],
    requests: Mapping[Stay, Sequence[WindowRequest]],
    chosen: Collection[Call] | None = None,
    *,
    windows_of: Callable[[StayFacts], Sequence[Window]] = details_windows,
) -> list[StayWindow]:
    """Return the windows without a final response, in the order in which their calls expire.

    `requests` are those made so far. With `chosen`, only stays in these call sessions count. `windows_of` returns the
    windows that should exist for a stay: `details_windows` or `timeline_windows`.
    """
    return [
        (stay, window)
        for stay in by_urgency(stays)
        if chosen is None or stay.call in chosen
        for window in windows_of(stays[stay])
        if not any(_is_final(stays[stay].call, window, request) for request in requests.get(stay, ()))
    ]


def probes_left(requests: Mapping[Stay, Sequence[WindowRequest]]) -> int | None:
    """Return how many stays to try before the others: None once a response was usable, 0 if the app has none."""
    answers = [request for of_stay in requests.values() for request in of_stay]
    if any(request.usable for request in answers):
        return None
    refused = {stay for stay, of_stay in requests.items() if any(is_refusal(one.status) for one in of_stay)}
    return max(0, PROBES - len(refused))


def probes_of(windows: Sequence[StayWindow], count: int) -> list[StayWindow]:
    """Return the windows to try first: the first one of so many stays, the newest calls first, of different calls if
    there are so many.
    """
    first: dict[Stay, StayWindow] = {}
    for stay, window in windows:
        first.setdefault(stay, (stay, window))
    by_call: dict[Call, list[StayWindow]] = {}
    for stay, item in reversed(first.items()):
        by_call.setdefault(stay.call, []).append(item)
    ranked = sorted(
        (rank, number, item) for number, items in enumerate(by_call.values()) for rank, item in enumerate(items)
    )
    return [item for _, _, item in ranked[:count]]


def _is_final(call: CallFacts, window: Window, request: WindowRequest) -> bool:
    if not request.usable:
        settled_at = call.settled_at
        of_window = request.window.since == window.since
        return of_window and is_refusal(request.status) and settled_at is not None and request.fetched_at >= settled_at
    return is_final(
        window,
        request.window,
        fetched_at=request.fetched_at,
        ended_at=call.ended_at,
        generated_at=call.generated_at,
    )
