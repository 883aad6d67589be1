"""Several processes on one port: copies of the one that started them, each as good as one that started by itself."""

import os
import signal
from pathlib import Path

import psutil
import pytest
import requests

from app.server.processes import CAN_COPY
from tests.e2e.conftest import LiveServer
from tests.support.waiting import wait_until

ADMIN, PASSWORD = "ada@example.com", "correct horse battery"
TWO = {"WEB_CONCURRENCY": "2", "FIRST_SUPERUSER": ADMIN, "FIRST_SUPERUSER_PASSWORD": PASSWORD}
ENOUGH_REQUESTS = 12  # on connections of their own: both processes get some

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("live_server", [TWO], indirect=True)]


def processes_of(server: LiveServer) -> set[int]:
    return {child.pid for child in psutil.Process(server.pid).children()}


def logs_in(server: LiveServer) -> bool:
    """True if passwords can be verified: in threads that each process starts itself."""
    form = {"username": ADMIN, "password": PASSWORD}
    answer = requests.post(f"{server.url}/v1/auth/login/access-token", data=form, timeout=30)
    return answer.status_code == 200


@pytest.mark.skipif(not CAN_COPY, reason="here each process imports the application itself")
def test_each_process_is_a_copy_that_imported_nothing(live_server: LiveServer) -> None:
    programs = {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(live_server)}
    assert programs == {Path(f"/proc/{live_server.pid}/cmdline").read_bytes()}
    assert len(processes_of(live_server)) == 2


def test_passwords_are_verified_in_every_process(live_server: LiveServer) -> None:
    """The process that starts them has hashed the first administrator's password, in a thread that no copy has."""
    assert all(logs_in(live_server) for _ in range(ENOUGH_REQUESTS))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_ends_is_replaced(live_server: LiveServer, how: signal.Signals) -> None:
    before = processes_of(live_server)
    os.kill(min(before), how)
    wait_until(lambda: len(processes_of(live_server) - before) == 1 and len(processes_of(live_server)) == 2, seconds=60)
    assert all(logs_in(live_server) for _ in range(ENOUGH_REQUESTS))


def test_a_process_that_hangs_is_replaced(live_server: LiveServer) -> None:
    before = processes_of(live_server)
    hung = min(before)
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: hung not in processes_of(live_server) and len(processes_of(live_server)) == 2, seconds=60)
    assert all(logs_in(live_server) for _ in range(ENOUGH_REQUESTS))
