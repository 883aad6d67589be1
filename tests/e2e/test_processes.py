"""Several processes on one port: copies of the one that started them, each as good as one that started by itself."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from app.db.session import driver_url
from app.server.processes import CAN_COPY
from tests.e2e.conftest import LiveServer
from tests.support.waiting import wait_until

ADMIN, PASSWORD = "ada@example.com", "correct horse battery"
TWO = {"WEB_CONCURRENCY": "2", "FIRST_SUPERUSER": ADMIN, "FIRST_SUPERUSER_PASSWORD": PASSWORD}
ENOUGH_REQUESTS = 12  # on connections of their own: both processes get some

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("live_server", [TWO], indirect=True)]


def processes_of(server: LiveServer) -> set[int]:
    return {child.pid for child in psutil.Process(server.pid).children()}


@contextmanager
def database_away(server_url: str, url: str) -> Iterator[None]:
    """Nobody gets a connection to the database, and those that exist are ended."""
    name = url.rpartition("/")[2]
    engine = create_engine(driver_url(server_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        ends = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ends, {"name": name})
        try:
            yield
        finally:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()


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


def test_a_process_that_ends_while_the_database_is_away_does_not_end_the_others(
    live_server: LiveServer, server_url: str, own_url: str
) -> None:
    before = processes_of(live_server)
    with database_away(server_url, own_url):
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: "exit_code=3" in live_server.log.read_text(), seconds=60)  # the new one was tried again
        assert max(before) in processes_of(live_server)
        assert requests.get(f"{live_server.url}/health/live", timeout=30).status_code == 200
    wait_until(lambda: len(processes_of(live_server)) == 2, seconds=60)
    wait_until(lambda: all(logs_in(live_server) for _ in range(ENOUGH_REQUESTS)), seconds=60)
