"""The errors of one connection. How it is used is in `tests/integration/extract/test_connection.py`."""

import inspect

import httpcore
import httpx

from pipeline.extract.connection import ERRORS


def test_every_error_of_httpcore_becomes_one_of_httpx() -> None:
    """Each error of httpcore has its counterpart, so a new one fails this test."""
    pool_only = {httpcore.ConnectionNotAvailable}  # a connection that is busy: ours has one request at a time
    raised = {kind for _, kind in inspect.getmembers(httpcore, inspect.isclass) if issubclass(kind, Exception)}
    assert raised - pool_only == set(ERRORS)
    assert all(issubclass(kind, httpx.TransportError) for kind in ERRORS.values())
