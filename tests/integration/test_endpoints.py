"""Endpoints: our table agrees with the official SDK, which is generated from Stream's specification."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from typing import Any, get_args, get_origin, get_type_hints

import getstream.models
import pytest
from getstream.video import rest_client

from pipeline.endpoints import ENDPOINTS, ERASED, Endpoint, Field, Fields

each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)


def sdk_call(endpoint: Endpoint) -> tuple[str, str, type]:
    """Return the HTTP method, the path and the response model of the SDK's method for the operation of an endpoint."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", endpoint.operation).lower()
    (method,) = (node for node in ast.walk(SDK) if isinstance(node, ast.FunctionDef) and node.name == name)
    ((verb, path, model),) = re.findall(r"self\.(\w+)\('([^']+)', (\w+)", ast.unparse(method))
    return verb.upper(), path, getattr(getstream.models, model)


SDK = ast.parse(inspect.getsource(rest_client))


@each_endpoint
def test_endpoint_has_the_method_and_path_of_the_sdk(endpoint: Endpoint) -> None:
    """The SDK sends the operation with the same method to the same path, except for the names of ids."""
    method, path, _ = sdk_call(endpoint)
    assert (method, re.sub(r"{\w+}", "{}", path)) == (endpoint.method, re.sub(r"{\w+}", "{}", endpoint.path))


@each_endpoint
def test_endpoint_knows_the_fields_of_the_sdk(endpoint: Endpoint) -> None:
    """Every field that we know is in the SDK's response at the same place, except the mark of an erased person."""
    _, _, model = sdk_call(endpoint)
    assert set(missing_fields(endpoint.fields, model)) <= {ERASED}


def missing_fields(fields: Fields, model: type) -> list[str]:
    """Return the names of fields that a model of the SDK, or one nested in it, does not have."""
    types = {
        item.metadata["dataclasses_json"]["letter_case"](item.name): get_type_hints(model, vars(getstream.models))[
            item.name
        ]
        for item in dataclasses.fields(model)
    }
    missing = [name for name in fields if name not in types]
    for name, node in fields.items():
        inner = node[0] if isinstance(node, list) else node
        if name in types and inner is not None and not isinstance(inner, Field):
            missing += missing_fields(inner, model_in(types[name]))
    return missing


def model_in(type_: Any) -> type:
    """Return the model in an optional type or a list."""
    while get_origin(type_) is not None:
        type_ = next(one for one in get_args(type_) if one is not type(None))
    assert isinstance(type_, type)
    return type_
