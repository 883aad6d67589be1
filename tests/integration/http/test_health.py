"""What /health answers, and so whether a load balancer sends requests here."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from tzdata import IANA_VERSION

from app import __version__
from app.schemas.health import WorkerHealth
from tests.support.answers import problem

Status = Literal["ok", "starting", "stalled", "disabled"]
TICKED = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)


@pytest.fixture
def worker_is(application: FastAPI, client: TestClient) -> Iterator[Callable[[Status], Response]]:
    """Asks for the health of a process whose worker is in some state."""
    healthy = application.state.worker_health

    def ask(status: Status) -> Response:
        application.state.worker_health = lambda: WorkerHealth(status=status, last_tick_at=TICKED)
        answer: Response = client.get("/health")
        return answer

    yield ask
    application.state.worker_health = healthy


@pytest.mark.parametrize("status", ["ok", "starting", "disabled"])
def test_a_worker_that_has_not_stalled_is_healthy(worker_is: Callable[[Status], Response], status: Status) -> None:
    answer = worker_is(status)
    worker = {"status": status, "last_tick_at": "2026-01-20T10:30:00Z"}
    expected = {"status": "ok", "version": __version__, "tzdata": IANA_VERSION, "database": "ok", "worker": worker}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_a_stalled_worker_is_a_problem(worker_is: Callable[[Status], Response]) -> None:
    found = problem(worker_is("stalled"), 503)
    assert (found["code"], found["database"]) == ("worker_stalled", "ok")
    assert found["worker"] == {"status": "stalled", "last_tick_at": "2026-01-20T10:30:00Z"}
