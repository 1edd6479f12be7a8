"""Finds the call and the stay that a request names, and keeps the totals of calls.

What is visible at a given time is decided in `pipeline.emulator.world.visibility`; the documents are in
`list_documents` and `metrics_document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..world import visibility
from ..world.call_totals import call_totals
from ..world.specs import CallSpec, StaySpec
from ..world.world import World
from .errors import not_found


class Lookup:
    """The calls and stays of a world by their ids. `now` is in microseconds since the epoch."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._calls = {call.ids: call for call in world.calls}
        self._stays: dict[tuple[str, str, str], dict[tuple[str, str], StaySpec]] = {}
        self._totals: dict[tuple[tuple[str, str, str], int], dict[str, Any]] = {}

    def call(self, ids: Mapping[str, str], now: int) -> CallSpec:
        """Return the call session of a request; raise a 404 if it is not visible."""
        key = ids["call_type"], ids["call_id"], ids["call_session_id"]
        call = self._calls.get(key)
        if call is None or not visibility.has_started(call, now):
            raise not_found(f"Can't find call session with id {':'.join(key)}")
        return call

    def stay(self, call: CallSpec, ids: Mapping[str, str], now: int) -> StaySpec:
        """Return the stay of a request; raise a 404 if it is not visible."""
        stays = self._stays.get(call.ids)
        if stays is None:
            stays = self._stays[call.ids] = {stay.ids: stay for stay in call.participants}
        key = ids["user_id"], ids["user_session_id"]
        stay = stays.get(key)
        if stay is None or not visibility.is_visible(call, stay, now):
            raise not_found(f"Can't find participant {key[0]} with session {key[1]}")
        return stay

    def totals(self, call: CallSpec, now: int) -> dict[str, Any]:
        """Return the totals of a call. They are kept from one report to the next: nothing else changes them."""
        made = visibility.reports_made(call, now)
        if not made:
            return call_totals(call, now)
        kept = self._totals.get((call.ids, made))
        if kept is None:
            kept = self._totals[call.ids, made] = call_totals(call, now)
        return kept
