"""A process that was told to stop says so first, and still serves while balancers notice."""

import os
import signal
import time

import psutil
import pytest
import requests

from tests.e2e.conftest import LiveServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SECONDS = 5


@pytest.fixture
def server_settings() -> dict[str, str]:
    return {"DRAIN_SECONDS": str(SECONDS)}


def readiness(server: LiveServer) -> tuple[int, str]:
    answer = requests.get(f"{server.url}/health/ready", timeout=10)
    return answer.status_code, answer.json().get("detail", "")


@pytest.mark.parametrize("live_server", [{}, {"WEB_CONCURRENCY": "2"}], indirect=True, ids=["one", "two"])
def test_a_process_drains_before_it_stops(live_server: LiveServer) -> None:
    assert readiness(live_server)[0] == 200
    began = time.monotonic()
    os.kill(live_server.pid, signal.SIGTERM)
    wait_until(lambda: readiness(live_server) == (503, "This process is draining."), seconds=30)
    assert requests.get(f"{live_server.url}/", timeout=10).status_code == 200
    wait_until(lambda: psutil.Process(live_server.pid).status() == psutil.STATUS_ZOMBIE, seconds=30)
    assert time.monotonic() - began >= SECONDS
