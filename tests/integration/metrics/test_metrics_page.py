"""Who may see /metrics, in which form, and what it costs nobody else."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from time import monotonic
from urllib.parse import urlsplit

import pytest
import requests
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pydantic import SecretStr
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import Environment
from app.db.session import Database, connect
from app.services.operations.gauges_service import Gauges
from app.services.operations.newest import Patience
from app.utils.service_locator import Services
from app.worker.metrics_server import SIDE_BY_SIDE, PunctualReads, showing_metrics
from tests.support.answers import problem
from tests.support.metrics import counting, samples

TOKEN = "a token for the metrics alone"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

Lend = Callable[..., Services]


def families(text: str) -> set[str]:
    """The names of the metrics in OpenMetrics."""
    parse: Callable[[str], Iterable[Metric]] = open_metrics.text_string_to_metric_families
    return {family.name for family in parse(text)}


@pytest.fixture
def services(services: Services, database: Database) -> Services:
    """With more patience than in production: the machine may be busy."""
    return replace(services, gauges=Gauges(database, Patience(5.0, 60.0)))


@pytest.fixture
def lend(application: FastAPI, client: TestClient, services: Services) -> Lend:
    """Gives the application other settings."""

    def put(**changed: object) -> Services:
        lent = replace(services, settings=services.settings.model_copy(update=changed))
        application.state.services = lent
        return lent

    return put


@pytest.fixture
def worker_metrics(services: Services, free_port: int) -> Iterator[str]:
    """The address of the metrics of a worker that runs alone."""
    changed = {"metrics_token": SecretStr(TOKEN), "worker_metrics_port": free_port}
    with showing_metrics(replace(services, settings=services.settings.model_copy(update=changed))):
        yield f"http://127.0.0.1:{free_port}/metrics"


def connected(address: str) -> socket.socket:
    """A connection to a worker that has sent nothing."""
    return socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), timeout=30)


def test_in_development_the_metrics_are_open(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in parse_text(answer.text)} > {"ims_database_up", "ims_build_info"}
    assert samples(answer.text)["ims_database_up"] == 1


def test_a_scraper_gets_open_metrics_if_it_asks(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert families(answer.text) > {"ims_database_up", "ims_incidents_opened"}


def test_the_right_token_opens_the_metrics(client: TestClient, lend: Lend) -> None:
    lend(metrics_token=SecretStr(TOKEN), environment=Environment.PRODUCTION)
    assert client.get("/metrics", headers=RIGHT).status_code == 200
    assert client.get("/metrics", headers={"Authorization": f"bearer  {TOKEN} "}).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ü"])
def test_a_wrong_token_is_refused_at_once(client: TestClient, lend: Lend, authorization: str) -> None:
    lend(metrics_token=SecretStr(TOKEN))
    with capture_logs() as logs:
        found = problem(client.get("/metrics", headers={b"Authorization": authorization.encode()}), 401)
    assert "METRICS_TOKEN" in found["detail"]
    assert "metrics_token_refused" in [line["event"] for line in logs]


def test_production_without_a_token_keeps_the_metrics_closed(client: TestClient, lend: Lend) -> None:
    lend(environment=Environment.PRODUCTION)
    found = problem(client.get("/metrics", headers=RIGHT), 403)
    assert "METRICS_TOKEN" in found["detail"]


def test_without_a_database_the_metrics_say_so_at_once(
    client: TestClient, application: FastAPI, services: Services
) -> None:
    away = connect("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    application.state.services = replace(services, gauges=Gauges(away))
    began = monotonic()
    found = samples(client.get("/metrics").text)
    assert monotonic() - began < 5
    assert found["ims_database_up"] == 0
    assert "ims_oldest_due_step_age_seconds" not in found
    assert 'ims_auth_failures_total{kind="password"}' in found


def test_the_metrics_are_not_part_of_the_api(client: TestClient) -> None:
    assert "/metrics" not in client.get("/v1/openapi.json").json()["paths"]


def test_no_line_of_the_metrics_tells_a_secret_or_an_address(
    client: TestClient, lend: Lend, services: Services
) -> None:
    lend(metrics_token=SecretStr(TOKEN))
    text = client.get("/metrics", headers=RIGHT).text
    assert TOKEN not in text
    assert "@" not in text


def test_a_worker_alone_shows_its_metrics_under_the_same_token(worker_metrics: str) -> None:
    answer = requests.get(worker_metrics, headers={**RIGHT, "Accept": OPEN_METRICS}, timeout=30)
    assert answer.status_code == 200
    assert "ims_worker_ticks" in families(answer.text)
    refused = requests.get(worker_metrics, timeout=30)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "METRICS_TOKEN" in refused.text


def test_a_worker_alone_shows_nothing_else(worker_metrics: str) -> None:
    assert requests.get(worker_metrics.replace("metrics", "health"), timeout=30).status_code == 404
    refused = requests.post(worker_metrics, timeout=30)
    assert (refused.status_code, refused.headers["Allow"], refused.text) == (405, "GET, HEAD", "Method Not Allowed.\n")
    assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_worker_answers_head_as_it_answers_get(worker_metrics: str) -> None:
    answer = requests.head(worker_metrics, headers=RIGHT, timeout=30)
    assert (answer.status_code, answer.text) == (200, "")
    assert int(answer.headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/metrics HTTP/1.0 and more", f"/{'x' * 70_000}"])
def test_what_is_no_http_gets_a_plain_answer(worker_metrics: str, path: str) -> None:
    with connected(worker_metrics) as client:
        client.sendall(f"GET {path}".encode() + b"\r\n\r\n")
        with suppress(ConnectionResetError):  # it did not read all of it
            assert b"<" not in client.recv(4096)


def test_a_refused_scrape_of_a_worker_counts_and_names_its_sender(worker_metrics: str) -> None:
    with capture_logs(processors=[merge_contextvars]) as logs, counting("ims_auth_failures_total") as change:
        assert requests.get(worker_metrics, timeout=30).status_code == 401
    assert [(line["event"], line["sender"]) for line in logs] == [("metrics_token_refused", "127.0.0.1")]
    assert change == {'ims_auth_failures_total{kind="metrics_token"}': 1}


def test_heads_that_never_end_keep_out_no_scrape(worker_metrics: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(worker_metrics)) for _ in range(SIDE_BY_SIDE)]
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert requests.get(worker_metrics, headers=RIGHT, timeout=30).status_code == 200
        assert slow[0].recv(1) == b""  # the oldest gave way


def test_a_head_has_a_time_however_it_drips() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reads = PunctualReads(ours, 0.0)
        theirs.sendall(b"x")
        with pytest.raises(TimeoutError):
            reads.readinto(bytearray(1))


def test_a_worker_in_production_without_a_token_shows_nothing(services: Services, free_port: int) -> None:
    changed = {"environment": Environment.PRODUCTION, "worker_metrics_port": free_port}
    with showing_metrics(replace(services, settings=services.settings.model_copy(update=changed))):
        answer = requests.get(f"http://127.0.0.1:{free_port}/metrics", timeout=30)
    assert answer.status_code == 403
    assert "METRICS_TOKEN" in answer.text


def test_a_port_that_is_taken_is_an_error_that_says_so(services: Services, worker_metrics: str) -> None:
    port = int(worker_metrics.rpartition(":")[2].partition("/")[0])
    again = replace(services, settings=services.settings.model_copy(update={"worker_metrics_port": port}))
    said = f"WORKER_METRICS_PORT: cannot listen on 127.0.0.1:{port}"
    with pytest.raises(ConfigurationError, match=said), showing_metrics(again):
        pass


def test_a_short_token_is_refused_in_production_only() -> None:
    settings = Settings(_env_file=None, metrics_token=SecretStr("short"))
    assert not any("METRICS_TOKEN" in problem for problem in settings.problems())
    assert any("METRICS_TOKEN is shorter than 16" in problem for problem in settings.production_problems())
