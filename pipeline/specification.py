"""The fields of the answers that Stream's specification has, so that those which the API adds are noticed.

From GetStream/protocol v236, and the mark that `privacy.py` leaves in place of a person. What is read from the answers,
and how, is the business of `sql/flatten/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import GenericAlias
from typing import Any

import msgspec

from pipeline.exchange import Endpoint

__all__ = ["unknown_fields"]

Fields = Mapping[str, Any]
"""Of an object, or of each in a list: its fields, with those of what lies in them; None: not looked into."""


def _names(text: str) -> dict[str, None]:
    return dict.fromkeys(text.split())


_LOCATION = _names("city subdivision country country_iso_code continent latitude longitude accuracy_radius_meters")
_COUNTS = _names(
    "participants sessions live_sessions publishers peak_concurrent_users peak_concurrent_sessions sfus_used "
    "average_jitter_ms average_latency_ms avg_user_rating call_event_count cq_score max_freezes_duration_ms "
    "min_user_rating total_participant_duration"
)
_CALL = _names("call_type call_id call_session_id call_started_at call_ended_at generated_at") | {"counts": _COUNTS}
_PAGE = _names("duration next prev")

_FIELDS: Mapping[Endpoint, Fields] = {
    "call_stats": {**_PAGE, "call_stats": _CALL},
    "participant_sessions": {
        **_PAGE,
        **_names("call_type call_id call_session_id session total_participant_sessions total_participant_duration"),
        "participants_sessions": _names(
            "user_id user_session_id joined_at left_at duration_in_seconds publisher_type roles forgotten"
        ),
    },
    "participant_stats": {
        **_PAGE,
        **_CALL,
        **_names("call_events tmp_data_source"),
        "participants": {
            **_names("latest_activity_at name roles user_id forgotten"),
            "sessions": {
                **_names(
                    "user_session_id browser browser_version cq_score current_ip current_sfu ended_at ingress is_live "
                    "distance_to_sfu_kilometers freezes_duration_ms jitter_ms latency_ms os publisher_type sdk "
                    "sdk_version started_at unified_session_id webrtc_version"
                ),
                "published_tracks": _names("audio video screenshare screenshare_audio"),
                "location": _LOCATION,
            },
        },
    },
    "participant_metrics": {
        **_names("duration user_id user_session_id publisher_type joined_at is_publisher is_subscriber"),
        "client": {**_names("name version ip network_type"), "location": _LOCATION},
        "published_tracks": _names("track_id track_type codec bitrate framerate resolution warnings"),
    },
}


def unknown_fields(endpoint: Endpoint, text: str) -> set[str]:
    """The fields of an answer that the specification does not have, such as `client.os`; none of what is no JSON.

    Elements of lists are written `published_tracks[].qp`.
    """
    try:
        _DECODERS[endpoint].decode(text)
    except (msgspec.ValidationError, RecursionError):  # something is new, or of another shape: look closely
        try:
            return set(_beyond(json.loads(text), _FIELDS[endpoint], ""))
        except (ValueError, RecursionError):
            return set()
    except msgspec.DecodeError:
        return set()
    return set()


def _beyond(value: Any, known: Fields, prefix: str) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _beyond(element, known, f"{prefix.removesuffix('.')}[].")
    elif isinstance(value, dict):
        for name, content in value.items():
            if name not in known:
                yield prefix + name
            elif known[name] is not None:
                yield from _beyond(content, known[name], f"{prefix}{name}.")


def _shape(fields: Fields) -> Any:
    """A type that decodes whatever has these fields and no others, at almost no cost."""
    types: list[tuple[str, Any, Any]] = []
    for name, within in fields.items():
        if within is None:
            types.append((name, msgspec.Raw, msgspec.Raw()))
        else:
            inner = _shape(within)
            types.append((name, GenericAlias(list, (inner,)) | inner | None, None))
    return msgspec.defstruct("Known", types, forbid_unknown_fields=True)


_DECODERS = {endpoint: msgspec.json.Decoder(_shape(fields)) for endpoint, fields in _FIELDS.items()}
