"""A process that was told to stop says so first, and still serves while balancers notice. Then it leaves the port."""

import os
import signal
import socket
import time
from contextlib import suppress

import psutil
import pytest
import requests

from tests.e2e.conftest import LiveServer
from tests.support.waiting import wait_until

SECONDS = 5
DRAINS, DRAINS_NOT = {"DRAIN_SECONDS": str(SECONDS)}, {"DRAIN_SECONDS": "0"}
TWO = {"WEB_CONCURRENCY": "2"}
BEGUN = (
    b"POST /v1/auth/signup HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
)

pytestmark = pytest.mark.e2e
one_or_two = pytest.mark.parametrize("live_server", [DRAINS, DRAINS | TWO], indirect=True, ids=["one", "two"])


def readiness(server: LiveServer) -> tuple[int, str]:
    answer = requests.get(f"{server.url}/health/ready", timeout=10)
    return answer.status_code, answer.json().get("detail", "")


def is_draining(server: LiveServer) -> bool:
    return readiness(server) == (503, "This process is draining.")


def has_ended(server: LiveServer) -> bool:
    return bool(psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE)


def is_refused(server: LiveServer) -> bool:
    with suppress(ConnectionRefusedError), connected(server):
        return False
    return True


def connected(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 10)


def tell_the_group(server: LiveServer) -> None:
    """SIGTERM to every process, as systemd and terminals do."""
    told = psutil.Process(server.pid)
    for process in [*told.children(), told]:
        process.send_signal(signal.SIGTERM)


@one_or_two
def test_a_process_drains_before_it_stops(live_server: LiveServer) -> None:
    assert readiness(live_server)[0] == 200
    began = time.monotonic()
    os.kill(live_server.pid, signal.SIGTERM)
    wait_until(lambda: is_draining(live_server), seconds=30)
    assert requests.get(f"{live_server.url}/", timeout=10).status_code == 200
    wait_until(lambda: has_ended(live_server), seconds=30)
    assert time.monotonic() - began >= SECONDS


@one_or_two
def test_processes_drain_when_their_whole_group_is_told(live_server: LiveServer) -> None:
    began = time.monotonic()
    tell_the_group(live_server)
    time.sleep(0.3)
    os.kill(live_server.pid, signal.SIGTERM)  # and who started it may pass on what it got itself
    wait_until(lambda: is_draining(live_server), seconds=30)
    wait_until(lambda: has_ended(live_server), seconds=30)
    assert time.monotonic() - began >= SECONDS


@pytest.mark.parametrize(
    "live_server", [{"DRAIN_SECONDS": "60"}, {"DRAIN_SECONDS": "60"} | TWO], indirect=True, ids=["one", "two"]
)
def test_a_second_signal_ends_the_drain(live_server: LiveServer) -> None:
    tell_the_group(live_server)
    wait_until(lambda: is_draining(live_server), seconds=30)
    time.sleep(2)  # within a second it counts as the same signal
    os.kill(live_server.pid, signal.SIGTERM)
    wait_until(lambda: has_ended(live_server), seconds=20)


@pytest.mark.parametrize("live_server", [DRAINS_NOT, DRAINS_NOT | TWO], indirect=True, ids=["one", "two"])
def test_the_port_is_free_while_the_last_answers_are_sent(live_server: LiveServer) -> None:
    with connected(live_server) as client:
        client.sendall(BEGUN)
        time.sleep(0.2)  # until a process has taken it
        os.kill(live_server.pid, signal.SIGTERM)
        wait_until(lambda: is_refused(live_server), seconds=5)
        assert not has_ended(live_server)
        client.sendall(b"}")
        assert client.recv(100).startswith(b"HTTP/1.1 4")
