"""The document of participant details: what one stay sent and received within a window.

Its shape is that of `GetCallSessionParticipantStatsDetailsResponse` in the specification. Names of metrics are not
documented; those here are ours. Bitrates are those of the world's tracks, so that what is received is what was sent,
less what was lost on the way. What gets lost is scripted with `LossSpec`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..world import visibility
from ..world.specs import CallSpec, StaySpec, TrackSpec
from ..world.timestamps import SECOND_US, from_micros, to_micros
from .document_parts import Json, without_none
from .lookup import Lookup
from .parameters import Timeframe, parse_timeframe
from .request_log import ApiRequest
from .wire_format import WireFormat

META: Final[Json] = {
    "bitrate": {"label": "Bitrate", "unit": "bps", "description": "Bits per second"},
    "packet_loss": {"label": "Packet loss", "unit": "%", "description": "Share of packets that were lost"},
    "latency": {"label": "Latency", "unit": "ms", "description": "Round trip to the server"},
    "jitter": {"label": "Jitter", "unit": "ms"},
    "freezes": {"label": "Freezes", "unit": "ms", "description": "Time that video froze"},
    "score": {"label": "Quality score"},
}
THRESHOLDS: Final[Json] = {
    "packet_loss": [
        {"level": "warning", "operator": "gt", "value": 2, "value_unit": "%", "window_seconds": 10},
        {"level": "critical", "operator": "gt", "value": 5, "value_unit": "%", "window_seconds": 10},
    ]
}

FREEZING_SHARE: Final = 0.05
"""Share of lost packets from which on video freezes."""

Pairs = list[tuple[int, float]]


class DetailsDocument:
    """Builds the document from a world."""

    def __init__(self, lookup: Lookup, wire: WireFormat) -> None:
        self._lookup = lookup
        self._wire = wire

    def participant_details(self, request: ApiRequest) -> Json:
        """Return the document; raise `ApiError` if the window is wrong or the stay does not exist."""
        now = to_micros(request.at)
        call = self._lookup.call(request.ids, now)
        stay = self._lookup.stay(call, request.ids, now)
        joined, left = visibility.joined_at(call, stay), visibility.left_at(stay, now) or now
        frame = parse_timeframe(request.query, from_micros(joined), from_micros(max(left, joined + SECOND_US)))
        document: Json = {
            "duration": "1.00ms",
            **{name: request.ids[name] for name in ("call_type", "call_id", "call_session_id")},
            "user_id": stay.user_id,
            "user_session_id": stay.user_session_id,
            "timeframe": {
                "since": self._wire.format_datetime(frame.since),
                "until": self._wire.format_datetime(frame.until),
                "step_seconds": frame.step_seconds,
                "max_points": frame.max_points,
            },
        }
        times = _times(call, stay, frame, now)
        if tracks := self._published(call, stay, frame, now):
            document["publisher"] = self._connection(stay, times, "uplink") | {"tracks": tracks}
        if stay.is_subscriber:
            subscriptions = [
                self._subscription(call, stay, other, frame, now)
                for other in visibility.visible_stays(call, now)
                if other.user_id != stay.user_id and visibility.visible_tracks(call, other, now)
            ]
            document["subscriber"] = self._connection(stay, times, "downlink") | {
                "subscriptions": [subscription for subscription in subscriptions if subscription["tracks"]]
            }
        if stay.cq_score is not None:
            document["user"] = self._described({"score": [(at, float(stay.cq_score)) for at in times]})
        return document

    def _connection(self, stay: StaySpec, times: list[int], where: str) -> Json:
        """Return the series of a whole connection."""
        metrics = {
            "latency": [(at, float(stay.latency_ms)) for at in times] if stay.latency_ms is not None else None,
            "jitter": [(at, float(stay.jitter_ms)) for at in times] if stay.jitter_ms is not None else None,
            "packet_loss": [(at, 100 * _lost(stay, where, at)) for at in times],
        }
        described = self._described(without_none(metrics))
        names = {
            "metrics": "global",
            "metrics_meta": "global_meta",
            "metrics_order": "global_metrics_order",
            "thresholds": "global_thresholds",
        }
        return {names[name]: value for name, value in described.items()}

    def _published(self, call: CallSpec, stay: StaySpec, frame: Timeframe, now: int) -> Json:
        tracks: Json = {}
        for track in visibility.visible_tracks(call, stay, now):
            if sent := self._sent(call, stay, track, frame, now):
                metrics = {"bitrate": sent, "packet_loss": [(at, 100 * _lost(stay, "uplink", at)) for at, _ in sent]}
                tracks.setdefault(track.track_type, []).append(self._track(track, metrics))
        return tracks

    def _subscription(self, call: CallSpec, stay: StaySpec, other: StaySpec, frame: Timeframe, now: int) -> Json:
        """Return what a stay received from another one."""
        joined, left = visibility.joined_at(call, stay), visibility.left_at(stay, now) or now
        tracks: Json = {}
        for track in visibility.visible_tracks(call, other, now):
            received: Pairs = []
            for at, sent in self._sent(call, other, track, frame, now):
                if joined <= at <= left:
                    kept = 1 - _lost(other, "uplink", at)
                    kept *= 1 - _lost(other, "server", at)
                    received.append((at, round(sent * kept * (1 - _lost(stay, "downlink", at)))))
            if received:
                losses = [(at, _lost(stay, "downlink", at)) for at, _ in received]
                metrics = {"bitrate": received, "packet_loss": [(at, 100 * lost) for at, lost in losses]}
                if track.track_type != "audio":
                    step = 1000.0 * frame.step_seconds
                    metrics["freezes"] = [(at, step if lost >= FREEZING_SHARE else 0.0) for at, lost in losses]
                tracks.setdefault(track.track_type, []).append(self._track(track, metrics))
        named = {
            "publisher_user_id": other.user_id,
            "publisher_user_session_id": other.user_session_id,
            "publisher_name": other.name,
        }
        return without_none(named) | {"tracks": tracks}

    def _sent(self, call: CallSpec, stay: StaySpec, track: TrackSpec, frame: Timeframe, now: int) -> Pairs:
        """Return the bitrate of a track in a window: microseconds since the epoch and bits per second."""
        published, newest = visibility.visible_span(call, stay, track, now)
        first, last = max(frame.since, published), min(frame.until, newest)
        if first > last:
            return []
        key = self._lookup.world.series_key(call, stay, track)
        for metric, times, values in track.points.columns(key, published, first, last, SECOND_US):
            if metric == "bitrate":
                pairs = [(at, float(value)) for at, value in zip(times, values, strict=True) if value is not None]
                return list(_thinned(pairs, frame))
        return []

    def _track(self, track: TrackSpec, metrics: dict[str, Pairs]) -> Json:
        named = {"track_id": track.track_id, "track_type": track.track_type, "codec": track.codec}
        return without_none(named) | self._described(metrics)

    def _described(self, metrics: dict[str, Pairs]) -> Json:
        """Return series with their labels, units and thresholds."""
        ticks = self._wire.ticks_per_second
        return {
            "metrics": {
                name: [(at * ticks // SECOND_US, value) for at, value in pairs] for name, pairs in metrics.items()
            },
            "metrics_meta": {name: META[name] for name in metrics},
            "metrics_order": [*metrics],
            "thresholds": {name: THRESHOLDS[name] for name in metrics if name in THRESHOLDS},
        }


def _times(call: CallSpec, stay: StaySpec, frame: Timeframe, now: int) -> list[int]:
    """Return the instants of the window at which the stay is there, on whole steps."""
    step = frame.step_seconds * SECOND_US
    first = max(frame.since, visibility.joined_at(call, stay))
    last = min(frame.until, visibility.left_at(stay, now) or now)
    return list(range(-(-first // step) * step, last + 1, step))


def _thinned(pairs: Pairs, frame: Timeframe) -> Iterator[tuple[int, float]]:
    """Yield the first point of each step."""
    step = frame.step_seconds * SECOND_US
    reached = None
    for at, value in pairs:
        if at // step != reached:
            reached = at // step
            yield at, value


def _lost(stay: StaySpec, where: str, at: int) -> float:
    """Return the share of packets that a stay loses at an instant."""
    for loss in stay.losses:
        if loss.where == where and to_micros(loss.since) <= at < to_micros(loss.until):
            return loss.share
    return 0.0
