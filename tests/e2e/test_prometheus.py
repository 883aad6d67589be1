"""Prometheus scrapes a service of two processes under load, and a worker alone: it counts what was really done."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from tests.e2e.conftest import ROOT, LiveServer
from tests.support.ports import next_port
from tests.support.prometheus import find, needs
from tests.support.waiting import wait_until

ADMIN, PASSWORD = "ada@example.com", "correct horse battery"
TOKEN = "a token for the metrics alone"
TWO = {
    "WEB_CONCURRENCY": "2",
    "WORKER_ENABLED": "false",
    "METRICS_TOKEN": TOKEN,
    "FIRST_SUPERUSER": ADMIN,
    "FIRST_SUPERUSER_PASSWORD": PASSWORD,
}
CLIENTS, ROUNDS = 8, 25
DONE = CLIENTS * ROUNDS
DEADLINE_SECONDS = 120

pytestmark = [pytest.mark.e2e, needs("prometheus"), pytest.mark.parametrize("live_server", [TWO], indirect=True)]

Ask = Callable[[str], float | None]


@pytest.fixture
def ports(worker_id: str) -> Iterator[int]:
    """More ports for servers."""
    number = int(worker_id.removeprefix("gw").replace("master", "9"))
    return iter(lambda: next_port(number), None)


@pytest.fixture
def worker(live_server: LiveServer, ports: Iterator[int], tmp_path: Path) -> Iterator[int]:
    """A worker alone on the service's database. Gives the port of its metrics."""
    port = next(ports)
    env = {**live_server.env, "WORKER_METRICS_PORT": str(port)}
    with (tmp_path / "worker.log").open("wb") as output:
        command = [sys.executable, "-m", "app", "worker"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
    try:
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def ask(live_server: LiveServer, worker: int, ports: Iterator[int], tmp_path: Path) -> Iterator[Ask]:
    """Asks a Prometheus that scrapes both of them every second, with the shipped configuration."""
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy" / "prometheus" / name) for name in config["rule_files"]]
    del config["alerting"]
    [job] = config["scrape_configs"]
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [{"targets": [live_server.url.removeprefix("http://"), f"127.0.0.1:{worker}"]}]
    (tmp_path / "metrics_token").write_text(TOKEN)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{next(ports)}"
    command = [
        find("prometheus") or "",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    try:
        yield lambda query: _answer(address, query)
    finally:
        process.kill()
        process.wait()


def _answer(address: str, query: str) -> float | None:
    """The value of a query with one result; None if there is none yet."""
    try:
        answer = requests.get(f"http://{address}/api/v1/query", params={"query": query}, timeout=10).json()
    except requests.RequestException:
        return None
    result: list[Any] = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def log_in(server: LiveServer) -> dict[str, str]:
    form = {"username": ADMIN, "password": PASSWORD}
    answer = requests.post(f"{server.url}/v1/auth/login/access-token", data=form, timeout=60)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def load(server: LiveServer, headers: dict[str, str], client: int) -> None:
    """One client: each round on a connection of its own, so that both processes get some."""
    incident = {"title": "Disk full", "severity": "high", "service": "api"}
    for number in range(ROUNDS):
        alert = {"rule_name": "Disk full", "alert_id": f"{client}-{number}"}
        answers = [
            requests.post(f"{server.url}/v1/incidents", json=incident, headers=headers, timeout=60),
            requests.post(f"{server.url}/v1/alerts/elastic", json=alert, timeout=60),
            requests.get(f"{server.url}/v1/incidents/0", headers=headers, timeout=60),
            requests.get(f"{server.url}/v1/users/me", timeout=60),
        ]
        assert [answer.status_code for answer in answers] == [201, 201, 404, 401]


def put_under_load(server: LiveServer) -> None:
    headers = log_in(server)
    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(load, server, headers, client) for client in range(CLIENTS)]:
            done.result(DEADLINE_SECONDS)


def counts(route: str, method: str, status: int) -> str:
    return f'sum(ims_http_requests_total{{route="{route}",method="{method}",status="{status}"}})'


EXPECTED = {
    counts("/v1/incidents", "POST", 201): DONE,
    counts("/v1/alerts/elastic", "POST", 201): DONE,
    counts("/v1/incidents/{incident_id}", "GET", 404): DONE,
    counts("/v1/users/me", "GET", 401): DONE,
    'sum(ims_http_request_seconds_count{route="/v1/incidents"})': DONE,
    'sum(ims_auth_failures_total{kind="access_token"})': DONE,
    'sum(ims_incidents_opened_total{source="api"})': DONE,
    'sum(ims_incidents_opened_total{source="elastic"})': DONE,
    'sum(ims_alerts_received_total{outcome="incident_created"})': DONE,
    "sum(ims_ingest_seconds_count)": DONE,
    'max(ims_incidents_open{severity="high",status="open"})': 2 * DONE,
    "sum(ims_unmatched_incidents_total)": 2 * DONE,
    "count(up == 1)": 2,
    'max(ims_workers{state="alive"})': 1,
    "min(ims_database_up)": 1,
    "count(ims_db_pool_limit)": 3,  # of two processes that serve, and of the worker
}


def test_prometheus_counts_what_two_processes_did(live_server: LiveServer, ask: Ask) -> None:
    wait_until(lambda: ask("count(up == 1)") == 2, seconds=DEADLINE_SECONDS)
    put_under_load(live_server)
    found: dict[str, float | None] = {}

    def agrees() -> bool:
        found.update({query: ask(query) for query in EXPECTED})
        return found == EXPECTED

    try:
        wait_until(agrees, seconds=60)
    except AssertionError:
        assert found == EXPECTED
    # The worker's own numbers come from the worker: alerts that no policy matches page the administrator.
    wait_until(lambda: (ask("sum(ims_worker_ticks_total)") or 0) > 0, seconds=DEADLINE_SECONDS)
    wait_until(lambda: (ask('sum(ims_deliveries_total{outcome="accepted"})') or 0) > 0, seconds=DEADLINE_SECONDS)


def test_a_process_that_is_killed_takes_no_counts_with_it(live_server: LiveServer, ask: Ask) -> None:
    put_under_load(live_server)
    for child in psutil.Process(live_server.pid).children():
        before = {one.pid for one in psutil.Process(live_server.pid).children()}
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: len(_new(live_server, before)) == 1, seconds=DEADLINE_SECONDS)  # noqa: B023 - it is awaited
    query = counts("/v1/incidents", "POST", 201)
    wait_until(lambda: ask("sum(ims_process_starts_total) - 1") == 4, seconds=DEADLINE_SECONDS)  # 1: the worker
    assert ask(query) == DONE
    assert ask("count(ims_db_pool_limit)") == 3  # the rows of the dead were taken over


def _new(server: LiveServer, before: set[int]) -> set[int]:
    """The processes that came, once the service has as many as it should."""
    now = {one.pid for one in psutil.Process(server.pid).children()}
    return now - before if len(now) == 2 else set()
