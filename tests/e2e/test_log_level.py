"""The level of the log changes in every process, services and workers, without a restart of any."""

from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import LiveServer, StartWorker
from tests.support.waiting import wait_until

ADMIN, PASSWORD = "ada@example.com", "correct horse battery"
TWO = {"WEB_CONCURRENCY": "2", "FIRST_SUPERUSER": ADMIN, "FIRST_SUPERUSER_PASSWORD": PASSWORD}
SOON_SECONDS = 60  # for a machine with much to do
RAISED, LOWERED = "from_level=WARNING to_level=INFO", "from_level=INFO to_level=WARNING"

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("live_server", [TWO], indirect=True)]


def said(log: Path, words: str, times: int) -> None:
    wait_until(lambda: log.read_text().count(words) == times, seconds=SOON_SECONDS)


def test_every_process_follows(live_server: LiveServer, start_worker: StartWorker) -> None:
    url, form = f"{live_server.url}/v1", {"username": ADMIN, "password": PASSWORD}
    token = requests.post(f"{url}/auth/login/access-token", data=form, timeout=30).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    worker = start_worker()
    answer = requests.put(f"{url}/log-level", json={"level": "info"}, headers=headers, timeout=30)
    assert answer.json()["level"] == "INFO"
    said(live_server.log, RAISED, 2)
    said(worker.log, RAISED, 1)
    late = start_worker()
    said(late.log, RAISED, 1)
    assert requests.delete(f"{url}/log-level", headers=headers, timeout=30).json()["level"] == "WARNING"
    said(live_server.log, LOWERED, 2)
    for log in (worker.log, late.log):
        said(log, LOWERED, 1)
