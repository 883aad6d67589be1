"""A request finds its route by a look-up, and it is the one that FastAPI would have found."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.route_table import RouteTable
from tests.support.operations import OPERATIONS, Operation


def table_of(application: FastAPI) -> RouteTable:
    table = application.router.middleware_stack
    assert isinstance(table, RouteTable)
    return table


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_is_found_by_its_own_template(application: FastAPI, operation: Operation) -> None:
    found = table_of(application)._find(operation.url())

    assert found is not None
    entry, _ = found
    assert entry.by_method[operation.method].path == operation.path
    assert entry.by_method[operation.method].operation_id in (None, operation.spec["operationId"])


def test_a_fixed_path_counts_before_a_parameter(application: FastAPI) -> None:
    found = table_of(application)._find("/v1/users/me")

    assert found is not None
    assert found[0].by_method["GET"].path == "/v1/users/me"


def test_an_unknown_address_is_left_to_the_framework(client: TestClient) -> None:
    assert client.get("/v1/nowhere").status_code == 404
    assert client.post("/v1/incidents/1/2/3/4").status_code == 404


def test_another_method_is_answered_with_those_allowed(client: TestClient) -> None:
    answer = client.patch("/v1/users/me")

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "PUT"}


def test_the_scope_names_the_template_of_the_route(application: FastAPI) -> None:
    found = table_of(application)._find("/v1/incidents/17")

    assert found is not None
    assert found[1] == {"incident_id": "17"}
    assert found[0].by_method["GET"].path == "/v1/incidents/{incident_id}"
