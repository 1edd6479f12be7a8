"""Finds fields that the API has added: those that `endpoints` does not know. Nothing that the source sends is lost in
silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import GenericAlias
from typing import Any

import msgspec

from pipeline.endpoints import ENDPOINTS, EndpointName, Field, Fields, Node

__all__ = ["unknown_fields"]


def unknown_fields(endpoint: EndpointName, body: str) -> set[str]:
    """Return the unknown fields of a response body, such as `client.os`; none if it is not JSON.

    Elements of lists are written `published_tracks[].qp`.
    """
    try:
        _DECODERS[endpoint].decode(body)
    except (
        msgspec.ValidationError,
        RecursionError,
    ):  # something is new, or has another shape: search it field by field
        try:
            return set(_search(json.loads(body), ENDPOINTS[endpoint].fields, ""))
        except (ValueError, RecursionError):
            return set()
    except msgspec.DecodeError:
        return set()
    return set()


def _search(value: Any, known: Node, prefix: str) -> Iterator[str]:
    fields = _object(known)
    if fields is None:
        return
    if isinstance(value, list):
        for element in value:
            yield from _search(element, fields, f"{prefix.removesuffix('.')}[].")
    elif isinstance(value, dict):
        for name, content in value.items():
            if name not in fields:
                yield prefix + name
            else:
                yield from _search(content, fields[name], f"{prefix}{name}.")


def _decodable(fields: Fields) -> Any:
    """Return a type that decodes whatever has these fields and no others, at almost no cost."""
    types: list[tuple[str, Any, Any]] = []
    for name, node in fields.items():
        inner = _object(node)
        if inner is None:
            types.append((name, msgspec.Raw, msgspec.Raw()))
        else:
            type_ = _decodable(inner)
            types.append((name, GenericAlias(list, (type_,)) | type_ | None, None))
    return msgspec.defstruct("Known", types, forbid_unknown_fields=True)


def _object(node: Node) -> Fields | None:
    """Return the fields of an object or of the objects in a list; None for anything else."""
    if isinstance(node, list):
        return node[0]
    return None if node is None or isinstance(node, Field) else node


_DECODERS = {name: msgspec.json.Decoder(_decodable(endpoint.fields)) for name, endpoint in ENDPOINTS.items()}
