"""Query parameters that a route does not declare are refused, by one rule for all routes.

A filter that is misspelled would otherwise answer everything, as if there were no filter.
"""

import pytest
from fastapi.testclient import TestClient

from tests.support.answers import problem
from tests.support.operations import OPERATIONS, Operation, sample
from tests.support.world import Person

OPEN_TO_SENDERS = ("/v1/alerts/", "/v1/notifications/callbacks/")
STRICT = [o for o in OPERATIONS if o.path.startswith("/v1/") and not o.path.startswith(OPEN_TO_SENDERS)]


@pytest.mark.parametrize("operation", STRICT, ids=str)
def test_an_unknown_query_parameter_is_refused_and_named(
    client: TestClient, admin: Person, operation: Operation
) -> None:
    body = sample(operation.schema) if "application/json" in operation.media_types else None
    headers = admin.headers if operation.needs_login else {}
    answer = client.request(operation.method, f"{operation.url()}?severty=high", json=body, headers=headers)
    found = problem(answer, 422, pointer="severty")
    assert found["code"] == "validation_error"
    assert "severty" in found["detail"]
    for parameter in operation.parameters("query"):
        assert parameter["name"] in found["detail"]


def test_the_refusal_lists_the_parameters_that_are_allowed(client: TestClient, admin: Person) -> None:
    found = problem(client.get("/v1/users?page=2", headers=admin.headers), 422)
    [error] = found["errors"]
    assert error["message"] == "The query parameter page is unknown. Use cursor, is_address_proved, limit or skip."


def test_a_route_without_parameters_says_that_it_takes_none(client: TestClient, admin: Person) -> None:
    found = problem(client.get("/v1/users/me?full=1", headers=admin.headers), 422, pointer="full")
    assert found["detail"] == "The query parameter full is unknown. This route takes none."


def test_whoever_may_not_call_it_learns_that_first(client: TestClient, user: Person) -> None:
    problem(client.get("/v1/users?page=2"), 401)
    problem(client.get("/v1/users?page=2", headers=user.headers), 403)


def test_a_parameter_that_is_known_by_a_dependency_is_allowed(client: TestClient, user: Person) -> None:
    answer = client.get("/v1/incidents?status=open&severity=high&limit=1&cursor=7&q=disk", headers=user.headers)
    assert answer.status_code == 200


def test_an_unknown_parameter_changes_nothing(client: TestClient, user: Person) -> None:
    incident = user.on(client).open()
    problem(client.post(f"/v1/incidents/{incident['id']}/resolve?now=1", headers=user.headers), 422, pointer="now")
    assert user.on(client).incident(incident["id"])["status"] == "open"


@pytest.mark.parametrize("path", ["/health", "/", "/docs"])
def test_outside_the_api_a_query_is_ignored(client: TestClient, path: str) -> None:
    assert client.get(f"{path}?utm_source=mail").status_code == 200


def test_a_webhook_takes_whatever_its_sender_adds(client: TestClient) -> None:
    body = {"title": "Disk full", "severity": "high", "service": "db"}
    assert client.post("/v1/alerts/elastic?space=default&x=1", json=body).status_code == 201


def test_a_very_long_name_is_answered_briefly(client: TestClient, admin: Person) -> None:
    answer = client.get(f"/v1/users?{'x' * 5000}=1", headers=admin.headers)
    problem(answer, 422)
    assert len(answer.content) < 1500
