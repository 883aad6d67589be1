"""Which requests come in at all: by HTTPS, for our own name, and from whom if a proxy stands in between."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.core import origin
from app.core.config import Settings
from app.core.vocabulary import Environment
from app.main import create_app
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.metrics import counting
from tests.support.operations import OPERATIONS
from tests.support.world import Person

HOST, PROXY, CLIENT = "pager.example.com", "10.0.0.5", "192.0.2.7"
HTTPS = {"X-Forwarded-Proto": "https"}
PAGES = ["/", "/docs", "/redoc", "/reset-password", "/p/1.2.3.x"]
PROBES = ["/health", "/health/", "/health/live", "/health/ready", "/metrics"]


@pytest.fixture(scope="module")
def production(default_settings: Settings) -> Settings:
    return default_settings.model_copy(
        update={
            "environment": Environment.PRODUCTION,
            "public_url": f"https://{HOST}/in",
            "force_https": True,
            "trusted_proxies": [PROXY],
            "allowed_hosts": ["alerts.internal", "*.apps.example", "::1"],
        }
    )


@pytest.fixture(scope="module")
def guarded(production: Settings) -> FastAPI:
    """The application as it runs in production, with a route that tells who asks."""
    app = create_app(production)

    @app.get("/v1/origin")
    def tell(colour: str = "") -> dict[str, Any]:
        return {"sender": origin.current().sender}

    return app


@pytest.fixture
def by(guarded: FastAPI, services: Services) -> Iterator[Callable[..., TestClient]]:
    """A client whose connection comes from an address. By default that is the proxy, which speaks plain HTTP to us."""
    guarded.state.services = services

    def make(address: str = PROXY, scheme: str = "http", host: str = HOST) -> TestClient:
        return TestClient(guarded, f"{scheme}://{host}", client=(address, 50000), follow_redirects=False)

    yield make
    guarded.state.services = None


def test_what_came_by_https_through_the_proxy_is_answered(by: Callable[..., TestClient]) -> None:
    answer = by().get("/v1/origin", headers={**HTTPS, "X-Forwarded-For": CLIENT})
    assert (answer.status_code, answer.json()) == (200, {"sender": CLIENT})


def test_a_connection_that_is_https_itself_needs_no_proxy(by: Callable[..., TestClient]) -> None:
    assert by(CLIENT, "https").get("/v1/origin").json() == {"sender": CLIENT}


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "https, http"}])
def test_the_api_refuses_plain_http(by: Callable[..., TestClient], headers: dict[str, str]) -> None:
    with capture_logs() as logs:
        refusal = problem(by().post("/v1/auth/login/access-token", json={}, headers=headers), 403)
    assert refusal["code"] == "https_required"
    assert "plain_http_refused" in {line["event"] for line in logs}


@pytest.mark.parametrize("address", [CLIENT, "127.0.0.1", "10.0.0.6", "::1"])
def test_nobody_else_can_claim_to_have_come_by_https(by: Callable[..., TestClient], address: str) -> None:
    answer = by(address).get("/v1/origin", headers={**HTTPS, "X-Forwarded-For": "198.51.100.1"})
    assert problem(answer, 403)["code"] == "https_required"


def test_nobody_else_can_claim_another_address(by: Callable[..., TestClient]) -> None:
    answer = by(CLIENT, "https").get("/v1/origin", headers={"X-Forwarded-For": "198.51.100.1"})
    assert answer.json() == {"sender": CLIENT}


def test_an_address_that_the_client_made_up_does_not_count(by: Callable[..., TestClient]) -> None:
    """The proxy appends the address it sees. What stands before it came from the client."""
    answer = by().get("/v1/origin", headers={**HTTPS, "X-Forwarded-For": f"198.51.100.1, {CLIENT}"})
    assert answer.json() == {"sender": CLIENT}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_is_redirected_to_https_with_its_method(by: Callable[..., TestClient], path: str, method: str) -> None:
    answer = by().request(method, f"{path}?a=b%20c")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{HOST}/in{path}?a=b%20c"


def test_a_redirect_leads_nowhere_else(by: Callable[..., TestClient]) -> None:
    answer = by().get(f"http://{HOST}//evil.example/", headers={"X-Forwarded-Host": "evil.example"})
    assert answer.headers["location"].startswith(f"https://{HOST}/in//evil.example/")


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("host", [HOST, "10.1.2.3:8000", "evil.example"])
def test_probes_and_metrics_are_never_refused_for_their_way(
    by: Callable[..., TestClient], path: str, host: str
) -> None:
    assert by(CLIENT, host=host).get(path).status_code not in (308, 400, 403, 421)


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        HOST.upper(),
        f"{HOST}:443",
        f"{HOST}.",
        "alerts.internal:8000",
        "a.apps.example",
        "a.b.apps.example",
        "[::1]:8",
    ],
)
def test_a_request_for_one_of_our_names_is_answered(by: Callable[..., TestClient], host: str) -> None:
    assert by().get("/v1/origin", headers={**HTTPS, "Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{HOST}.evil.example",
        f"evil{HOST}",
        "apps.example",
        "10.0.0.1",
        "[::2]",
        "[::1",
        "a b",
        "pager",
    ],
)
def test_a_request_for_another_name_is_refused_and_logged(by: Callable[..., TestClient], host: str) -> None:
    with capture_logs() as logs:
        answer = by().get("/v1/origin", headers={**HTTPS, "Host": host})
    assert problem(answer, 421)["code"] == "host_not_served"
    assert [line["host"] for line in logs if line["event"] == "host_refused"] == [host]


@pytest.mark.parametrize("hosts", [[], [b""], [HOST.encode(), HOST.encode()], [HOST.encode(), b"evil.example"]])
def test_a_request_must_name_one_host(by: Callable[..., TestClient], guarded: FastAPI, hosts: list[bytes]) -> None:
    app = WithHosts(guarded, hosts)
    answer = TestClient(app, client=(PROXY, 50000)).get("/v1/origin", headers=HTTPS)
    assert problem(answer, 400)["code"] == "bad_request"


class WithHosts:
    """The application, to which the client sends these Host headers."""

    def __init__(self, app: FastAPI, hosts: list[bytes]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope = {**scope, "headers": [*others, *((b"host", host) for host in self.hosts)]}
        await self.app(scope, receive, send)


def test_no_operation_of_the_api_is_answered_by_plain_http(by: Callable[..., TestClient], admin: Person) -> None:
    client = by()
    asked = [operation for operation in OPERATIONS if operation.path.startswith("/v1/")]
    for operation in asked:
        answer = client.request(operation.method, operation.url(), headers=admin.headers)
        assert answer.json()["code"] == "https_required", str(operation)
    assert len(asked) > 40


def test_a_refusal_has_the_headers_of_every_answer(by: Callable[..., TestClient]) -> None:
    answer = by().get("/v1/users/me")
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_development_answers_everybody(client: TestClient) -> None:
    assert client.get("/", headers={"Host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "scheme", "status"), [(HOST, "http", 403), ("other", "https", 421), ("", "https", 400)]
)
def test_alerts_that_are_refused_here_are_lost_by_their_route(
    by: Callable[..., TestClient], host: str, scheme: str, status: int
) -> None:
    sent = {"Host": host, "X-Forwarded-Proto": scheme}
    with counting("ims_http_requests_total", "ims_alerts_received_total") as change:
        assert by().post("/v1/alerts/elastic/", json={"rule_name": "x"}, headers=sent).status_code == status
    route = "/v1/alerts/elastic"
    assert change == {
        f'ims_http_requests_total{{route="{route}",method="POST",status="{status}"}}': 1,
        'ims_alerts_received_total{source="elastic",outcome="error"}': 1,
    }


def test_a_refusal_on_the_way_is_no_failure_of_a_secret(by: Callable[..., TestClient]) -> None:
    with counting("ims_auth_failures_total") as change:
        by().post("/v1/auth/reset-password", json={}, headers={**HTTPS, "Host": ""})
        by().post("/v1/notifications/callbacks/twilio")
    assert change == {}
