"""Parts of JSON that several documents share. The documents are in `list_documents` and `metrics_document`."""

from __future__ import annotations

from typing import Any

from ..world.specs import ClientSpec, Extra, LocationSpec

Json = dict[str, Any]


def without_none(fields: Json) -> Json:
    """Return the fields that have a value: the API leaves out the others."""
    return {name: value for name, value in fields.items() if value is not None}


def with_overrides(fields: Json, extra: Extra, omit: frozenset[str] = frozenset()) -> Json:
    """Return the fields with those that a spec adds, and without those that it omits."""
    if not extra and not omit:
        return fields
    return {name: value for name, value in (fields | dict(extra)).items() if name not in omit}


def location_json(location: LocationSpec) -> Json:
    """Return a participant's place."""
    return without_none({name: getattr(location, name) for name in LocationSpec.__slots__})


def client_json(client: ClientSpec) -> Json:
    """Return a participant's app, network and place."""
    fields = without_none({name: getattr(client, name) for name in ("name", "version", "ip", "network_type")})
    if client.location is not None:
        fields["location"] = location_json(client.location)
    return with_overrides(fields, client.extra)
