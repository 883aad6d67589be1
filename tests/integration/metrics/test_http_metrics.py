"""Requests are counted by route, method and status, and say what became of alerts and secrets."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.http_metrics import CLIENT_LEFT, SECRETS, UNMATCHED, HttpMeter, meter_of
from app.api.route_table import ROUTE_TEMPLATE
from app.core import api_key, metrics
from app.utils.service_locator import Services
from tests.support.metrics import counted, counting
from tests.support.scenario import Opener
from tests.support.world import Person

REQUESTS = "ims_http_requests_total"


def request(route: str, method: str, status: int) -> str:
    return f'{REQUESTS}{{route="{route}",method="{method}",status="{status}"}}'


def test_a_request_counts_under_the_template_of_its_route(
    client: TestClient, user: Person, open_incident: Opener
) -> None:
    incident = open_incident()
    with counting(REQUESTS, "ims_http_request_seconds_count") as change:
        user.on(client).call(f"GET /incidents/{incident['id']}")
        user.on(client).send("GET /incidents/999999")
    route = "/v1/incidents/{incident_id}"
    assert change == {
        request(route, "GET", 200): 1,
        request(route, "GET", 404): 1,
        f'ims_http_request_seconds_count{{route="{route}"}}': 2,
    }


def test_a_trailing_slash_makes_no_other_route(client: TestClient, user: Person) -> None:
    with counting(REQUESTS) as change:
        client.get("/v1/incidents/", headers=user.headers)
    assert change == {request("/v1/incidents", "GET", 200): 1}


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/p/some-token", "/p/{token}", 404),
        ("GET", "/docs", "/docs", 200),
        ("GET", "/health/live", "/health/live", 200),
        ("GET", "/metrics", "/metrics", 200),
        ("GET", "/nowhere", UNMATCHED, 404),
        ("GET", "/v1/incidents/not/a/path", UNMATCHED, 404),
    ],
)
def test_what_leads_nowhere_is_unmatched(client: TestClient, method: str, path: str, route: str, status: int) -> None:
    with counting(REQUESTS) as change:
        client.request(method, path)
    assert change == {request(route, method, status): 1}


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("DELETE", "/health", "/health"),
        ("DELETE", "/v1/incidents/", "/v1/incidents"),
        ("BREW", "/v1/incidents/17", "/v1/incidents/{incident_id}"),
        ("DELETE", "/p/some-token/snooze", "/p/{token}/{action}"),
    ],
)
def test_a_method_that_a_route_lacks_counts_as_other_of_it(
    client: TestClient, method: str, path: str, route: str
) -> None:
    with counting(REQUESTS) as change:
        assert client.request(method, path).status_code == 405
    assert change == {request(route, "other", 405): 1}


def test_an_act_by_a_link_counts_under_its_whole_template(client: TestClient) -> None:
    with counting(REQUESTS) as change:
        client.post("/p/some-token/acknowledge")
    assert change == {request("/p/{token}/acknowledge", "POST", 404): 1}


def test_words_of_a_client_never_become_labels(client: TestClient) -> None:
    before = set(counted())
    for path in ("/a", "/b/c", "/v1/d", "/p"):
        client.request("BREW", path)
    new = set(counted()) - before
    assert new <= {request(UNMATCHED, "other", status) for status in (404, 405)}


def test_every_route_has_its_series_from_the_start(application: FastAPI) -> None:
    meter_of(application)
    shown = set(counted())
    for route, method, status in [
        ("/v1/incidents", "POST", 201),
        ("/v1/incidents", "POST", 503),
        ("/v1/alerts/elastic", "POST", 201),
        ("/health/ready", "GET", 500),
        ("/p/{token}", "GET", 500),
    ]:
        assert request(route, method, status) in shown


def test_the_routes_of_secrets_exist(application: FastAPI) -> None:
    routes = {labels[0] for labels in metrics.HTTP_REQUESTS.series}
    assert set(SECRETS) <= routes


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "access_token": ("GET /v1/users/me", {"headers": {"Authorization": "Bearer wrong"}}),
    "api_key": ("GET /v1/users/me", {"headers": {"Authorization": f"bearer {api_key.new()}"}}),
    "page_link": ("POST /p/1.2.3.wrong/acknowledge", {}),
    "password": ("POST /v1/auth/login/access-token", {"json": {"username": "a@b.example", "password": "wrong"}}),
    "refresh_token": ("POST /v1/auth/login/refresh-token", {"json": {"refresh_token": "wrong"}}),
    "reset_token": ("POST /v1/auth/reset-password", {"json": {"token": "wrong", "new_password": "long enough 1"}}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_secret_counts_by_its_kind(client: TestClient, kind: str) -> None:
    (operation, sent) = REFUSED[kind]
    with counting("ims_auth_failures_total") as change:
        assert client.request(*operation.split(), **sent).status_code in (400, 401, 404)
    assert change == {f'ims_auth_failures_total{{kind="{kind}"}}': 1}


def test_a_user_without_the_right_is_no_failure_of_a_secret(client: TestClient, user: Person) -> None:
    with counting("ims_auth_failures_total") as change:
        user.on(client).send("GET /users")
    assert change == {}


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_alerts_with_a_wrong_token_are_refused(
    client: TestClient, application: FastAPI, services: Services, secret: str
) -> None:
    source = replace(services.sources["elastic"], tokens=("the right token of this source",))
    application.state.services = replace(services, sources={"elastic": source})
    with counting("ims_alerts_received_total", "ims_auth_failures_total") as change:
        client.post("/v1/alerts/elastic", json={"rule": "x"}, headers={"X-Webhook-Token": secret})
    assert change == {
        'ims_alerts_received_total{source="elastic",outcome="refused"}': 1,
        'ims_auth_failures_total{kind="webhook_token"}': 1,
    }


@pytest.mark.parametrize("status", [400, 408, 409, CLIENT_LEFT, 500, 503])
def test_a_post_of_alerts_that_fails_is_an_error(application: FastAPI, status: int) -> None:
    meter = meter_of(application)
    with counting("ims_alerts_received_total", "ims_ingest_seconds_count") as change:
        meter.count({"method": "POST", ROUTE_TEMPLATE: "/v1/alerts/elastic"}, status, 0.1)
    assert change == {'ims_alerts_received_total{source="elastic",outcome="error"}': 1}


def test_only_alerts_that_are_taken_in_have_their_time_counted(client: TestClient) -> None:
    with counting("ims_ingest_seconds_count") as change:
        client.post("/v1/alerts/elastic", json={"rule_name": "Disk full", "alert_id": "1"})
    assert change == {"ims_ingest_seconds_count": 1}


def test_a_status_that_nobody_knows_is_other() -> None:
    meter = HttpMeter()
    with counting(REQUESTS) as change:
        meter.count({"method": "GET"}, 418, 0.1)
    assert change == {f'{REQUESTS}{{route="{UNMATCHED}",method="GET",status="other"}}': 1}
