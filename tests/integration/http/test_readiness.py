"""What /health/live and /health/ready answer, and so whether a load balancer sends requests here."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import __version__
from app.core.config import Settings
from app.core.vocabulary import Phase
from app.db.session import Database, connect
from app.services.operations import health_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services, build_probe
from tests.support.answers import problem
from tests.support.scenario import Opener
from tests.support.world import Clock

OPEN = {"email": {"mail.example.com": {"state": "open", "failing_messages": 5, "last_error": "421"}}}


@pytest.fixture
def beat(session: Session) -> Callable[..., None]:
    """A worker's heartbeat."""

    def put(channels: dict[str, Any] | None = None) -> None:
        health_service.beat(session, Pulse(), channels or {}, ["email"])
        session.commit()

    return put


@pytest.fixture
def phase(application: FastAPI) -> Iterator[Callable[[Phase], None]]:
    """Puts the process into a phase of its life."""
    yield lambda one: setattr(application.state, "phase", one)
    application.state.phase = Phase.SERVING


@pytest.fixture
def no_thread(portal: BlockingPortal) -> Iterator[None]:
    """Every thread for requests is taken, as while the database hangs."""

    async def take() -> list[object]:
        threads = to_thread.current_default_thread_limiter()
        takers = [object() for _ in range(int(threads.available_tokens))]
        for taker in takers:
            threads.acquire_on_behalf_of_nowait(taker)
        return takers

    async def give_back(takers: list[object]) -> None:
        for taker in takers:
            to_thread.current_default_thread_limiter().release_on_behalf_of(taker)

    taken = portal.call(take)
    yield
    portal.call(give_back, taken)


@pytest.fixture
def look_at(application: FastAPI, services: Services, settings: Settings) -> Iterator[Callable[[Database], None]]:
    """Lets the process look at another database."""

    def put(database: Database) -> None:
        application.state.services = replace(services, health=build_probe(settings, database, services.channels))

    yield put
    application.state.services = services


def checks(client: TestClient) -> dict[str, Any]:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def degraded(client: TestClient) -> set[str]:
    return {name for name, check in checks(client)["checks"].items() if check["status"] != "ok"}


def test_a_live_process_says_so_whatever_its_database_does(
    client: TestClient, look_at: Callable[[Database], None]
) -> None:
    look_at(connect("postgresql://nobody@127.0.0.1:1/none", pool_size=1))
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_an_installation_that_works_is_ok_in_every_part(client: TestClient, beat: Callable[..., None]) -> None:
    beat()
    found = checks(client)
    assert (found["status"], found["version"]) == ("ok", __version__)
    assert set(found["checks"]) == {
        "process", "database", "schema", "worker", "due_steps", "due_messages", "channel_email", "disk",
    }  # fmt: skip
    for check in found["checks"].values():
        assert (check["status"], check["detail"], check["latency_ms"] >= 0) == ("ok", None, True)


def test_no_live_worker_degrades_and_alerts_are_still_taken(client: TestClient) -> None:
    found = checks(client)
    assert (found["status"], found["checks"]["worker"]["status"]) == ("degraded", "degraded")
    assert "python -m app worker" in found["checks"]["worker"]["detail"]


def test_a_worker_that_has_gone_silent_is_not_alive(
    client: TestClient, beat: Callable[..., None], clock: Clock
) -> None:
    beat()
    clock.advance(seconds=31)
    assert degraded(client) == {"worker"}


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_answered_while_every_thread_waits(no_thread: None, client: TestClient, path: str) -> None:
    answer = ThreadPoolExecutor(1).submit(client.get, path)
    assert answer.result(5).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_a_balancer_that_asks_by_head_gets_the_status(client: TestClient, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code == 200


def test_head_says_that_a_process_is_not_ready(client: TestClient, phase: Callable[[Phase], None]) -> None:
    phase(Phase.DRAINING)
    assert client.head("/health/ready").status_code == 503


def test_a_late_step_degrades(
    client: TestClient, beat: Callable[..., None], clock: Clock, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy()
    open_incident()
    clock.advance(seconds=60)
    beat()
    assert degraded(client) == {"due_steps"}


def test_a_page_that_waits_degrades(
    client: TestClient, beat: Callable[..., None], clock: Clock, session: Session, add_policy: Opener,
    open_incident: Opener, tick: Callable[[], None],
) -> None:  # fmt: skip
    add_policy()
    open_incident()
    tick()
    session.execute(text("UPDATE notifications SET status = 'pending', accepted_at = NULL, next_attempt_at = now()"))
    session.commit()
    clock.advance(seconds=60)
    beat()
    assert degraded(client) == {"due_messages"}


def test_an_open_breaker_degrades_its_channel(client: TestClient, beat: Callable[..., None]) -> None:
    beat(OPEN)
    assert degraded(client) == {"channel_email"}


@pytest.mark.parametrize("stage", [Phase.STARTING, Phase.DRAINING])
def test_a_process_that_starts_or_ends_should_get_no_requests(
    client: TestClient, beat: Callable[..., None], phase: Callable[[Phase], None], stage: Phase
) -> None:
    beat()
    phase(stage)
    found = problem(client.get("/health/ready"), 503)
    assert (found["code"], found["detail"]) == ("not_ready", f"This process is {stage}.")
    assert {name for name, check in found["checks"].items() if check["status"] != "ok"} == {"process"}


def test_a_database_that_is_away_makes_it_unready(client: TestClient, look_at: Callable[[Database], None]) -> None:
    look_at(connect("postgresql://nobody@127.0.0.1:1/none", pool_size=1))
    found = problem(client.get("/health/ready"), 503)
    assert found["checks"]["database"]["status"] == "failed"
    assert "OperationalError" in found["checks"]["database"]["detail"]


def test_a_schema_that_is_behind_makes_it_unready(
    client: TestClient, look_at: Callable[[Database], None], session: Session, database: Database
) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '20240818'"))
    session.commit()
    look_at(database)
    found = problem(client.get("/health/ready"), 503)
    assert found["checks"]["schema"]["status"] == "failed"
    assert "alembic upgrade head" in found["detail"]
    assert "worker" not in found["checks"]  # its table may not be there


def test_the_disk_is_looked_at_only_where_the_database_lies_on_it(
    client: TestClient, look_at: Callable[[Database], None], database: Database, settings: Settings,
    application: FastAPI, services: Services, tmp_path: Path,
) -> None:  # fmt: skip
    url = "postgresql://somebody@db.example.com/incidents"
    elsewhere = Settings(_env_file=None, database_url=url, data_dir=tmp_path)
    application.state.services = replace(services, health=build_probe(elsewhere, database, services.channels))
    assert "disk" not in checks(client)["checks"]
