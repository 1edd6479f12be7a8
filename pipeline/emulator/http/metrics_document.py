"""The document of Participant Metrics: the series of one stay within a window.

Its shape is that of `GetCallParticipantSessionMetricsResponse` in the specification. The endpoints that list something
are in `list_documents`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..world import visibility
from ..world.specs import CallSpec, StaySpec, TrackSpec
from ..world.timestamps import to_micros
from .document_parts import Json, client_json, with_overrides, without_none
from .lookup import Lookup
from .parameters import parse_window
from .request_log import ApiRequest
from .wire_format import WireFormat


class MetricsDocument:
    """Builds the document from a world."""

    def __init__(self, lookup: Lookup, wire: WireFormat) -> None:
        self._lookup = lookup
        self._wire = wire

    def participant_metrics(self, request: ApiRequest) -> Json:
        """Return the document; raise `ApiError` if the window is wrong or the stay does not exist."""
        now = to_micros(request.at)
        since, until = parse_window(request.since, request.until, request.at)
        if not self._wire.until_inclusive:
            until -= 1
        call = self._lookup.call(request.ids, now)
        stay = self._lookup.stay(call, request.ids, now)
        document: Json = {
            "user_id": stay.user_id,
            "user_session_id": stay.user_session_id,
            "publisher_type": stay.publisher_type,
            "is_publisher": visibility.is_publisher(call, stay, now),
            "is_subscriber": stay.is_subscriber,
        }
        if stay.joined_at is not None:
            document["joined_at"] = self._wire.format_datetime(stay.joined_at)
        if stay.client is not None:
            document["client"] = client_json(stay.client)
        tracks = []
        for track in visibility.visible_tracks(call, stay, now):
            published, newest = visibility.visible_span(call, stay, track, now)
            first, last = max(since, published), min(until, newest)
            if first <= last:
                tracks.append(self._track(call, stay, track, published, first, last))
        document["published_tracks"] = tracks
        document["duration"] = "1.00ms"
        return with_overrides(document, stay.extra, stay.omit)

    def _track(self, call: CallSpec, stay: StaySpec, track: TrackSpec, published: int, first: int, last: int) -> Json:
        """Return a track, published at `published`, with its data from `first` to `last`, both included."""
        key = self._lookup.world.series_key(call, stay, track)
        columns = track.points.columns(key, published, first, last, self._wire.ticks_per_second)
        fields: Json = {"track_id": track.track_id, "track_type": track.track_type, "codec": track.codec}
        for metric, times, values in columns:
            ticks: Iterable[float] = map(float, times) if self._wire.unit == "float_s" else times
            series = {"data_points": list(zip(ticks, values, strict=True))}
            if metric.startswith("resolution_"):
                fields.setdefault("resolution", {})[metric.removeprefix("resolution_")] = series
            else:
                fields[metric] = series
        warnings = visibility.warnings_within(track, first, last)
        if warnings:
            fields["warnings"] = [
                without_none(
                    {
                        "code": warning.code,
                        "warning": warning.warning,
                        "time": self._wire.format_datetime(warning.at),
                    }
                )
                for warning in warnings
            ]
        return with_overrides(fields, track.extra, track.omit)
