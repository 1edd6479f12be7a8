"""Endpoints: each fact in the table of endpoints fits the tables, columns and types of the rest."""

from __future__ import annotations

import re

import pytest

from pipeline.endpoints import ENDPOINT_NAMES, ENDPOINTS, ERASED, LISTINGS, PEOPLE, UNIT_LIMITS, Endpoint, Field, leaves
from pipeline.schema import CALL_KEY, STAY_KEY, TABLES

each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)


@each_endpoint
def test_endpoint_fills_tables_and_columns_that_exist(endpoint: Endpoint) -> None:
    """Every table is one of the contract, and every column of a field is in one of the endpoint's tables."""
    assert set(endpoint.tables) <= set(TABLES)
    columns = {name for table in endpoint.tables for name in TABLES[table].schema.names}
    filled = {column for name, field in leaves(endpoint.fields) for column in columns_of(name, field)}
    assert filled - columns == set()


def columns_of(name: str, field: Field) -> tuple[str, ...]:
    """Return the columns that a field fills."""
    return (name,) if field.columns is None else field.columns


@each_endpoint
def test_endpoint_has_rows_that_are_a_known_list(endpoint: Endpoint) -> None:
    """The page key of an endpoint that responds in pages is a list of objects, and the page names the next one."""
    if endpoint.rows is not None:
        assert isinstance(endpoint.fields[endpoint.rows], list)
        assert "next" in endpoint.fields
    assert (endpoint.name in LISTINGS) is (endpoint.rows is not None)


@each_endpoint
def test_endpoint_has_only_ids_in_its_path_that_we_know(endpoint: Endpoint) -> None:
    """Unless the body has the ids, they are those of a call session for lists of people, and of a stay for others."""
    ids = tuple(re.findall(r"{(\w+)}", endpoint.path))
    assert ids == (() if endpoint.method == "POST" else CALL_KEY if endpoint.name in PEOPLE else STAY_KEY)


def test_endpoints_are_in_the_order_in_which_a_day_is_fetched() -> None:
    """The table has each name once, in the order of the steps."""
    assert tuple(ENDPOINTS) == ENDPOINT_NAMES
    assert PEOPLE == ("participant_sessions", "participant_stats", "user_feedback")


@pytest.mark.parametrize("name", PEOPLE)
def test_endpoint_about_people_knows_the_mark_of_an_erased_person(name: str) -> None:
    """A page from which we erased a person has no unknown field."""
    endpoint = ENDPOINTS[name]
    assert ERASED in endpoint.fields[endpoint.rows][0]


def test_addresses_are_marked_where_a_client_is_described() -> None:
    """The fields that hold IP addresses are marked, and no other field is."""
    marked = {name for endpoint in ENDPOINTS.values() for name, field in leaves(endpoint.fields) if field.is_address}
    filling = {
        name
        for endpoint in ENDPOINTS.values()
        for name, field in leaves(endpoint.fields)
        if "client_ip" in columns_of(name, field)
    }
    assert marked == filling == {"ip", "current_ip"}


def test_unit_limits_separate_the_units() -> None:
    """An instant between 2000 and 2200 is in its own unit by a factor of ten at least."""
    limits = [*UNIT_LIMITS.values()]
    for number, scale in enumerate((1, 10**3, 10**6, 10**9)):
        for instant in (946_684_800 * scale, 7_258_118_400 * scale):
            assert sum(instant >= limit for limit in limits) == number
            assert sum(10 * instant >= limit for limit in limits) == number
            assert sum(instant / 10 >= limit for limit in limits) <= number
