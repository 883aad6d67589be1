"""Workers store their circuit breakers side by side, and once more when they stop."""

import time
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import event, select, text
from structlog.testing import capture_logs

from app.db.session import Database
from app.models import CircuitBreaker
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.ports import Delivery
from app.services.operations import breaker_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services
from app.worker import Jobs


def delivery_on(database: Database, services: Services) -> Delivery:
    return Delivery(database, services.channels, services.paging, timedelta(seconds=60))


@pytest.fixture
def delivery(own_database: Database, services: Services) -> Delivery:
    """That of a worker on a database of its own."""
    return delivery_on(own_database, services)


@pytest.fixture
def worker(jobs: Jobs, services: Services) -> Jobs:
    """A worker that has stored an open breaker."""
    fail(services.delivery, "outbox")
    jobs.beat()
    assert stored(services.database) == ["outbox"]
    return jobs


def fail(delivery: Delivery, provider: str) -> None:
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", provider, number, error="503", at=time.monotonic())


def succeed(delivery: Delivery, provider: str) -> None:
    assert delivery.breakers.record("email", provider, 99, error=None, at=time.monotonic())


def stored(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(select(CircuitBreaker.provider).order_by(CircuitBreaker.provider)))


def test_what_closes_while_the_worker_stops_is_stored(worker: Jobs, services: Services) -> None:
    succeed(services.delivery, "outbox")
    worker.leave()
    assert stored(services.database) == []


def test_a_worker_signs_off_though_its_breakers_cannot_be_stored(worker: Jobs, services: Services) -> None:
    succeed(services.delivery, "outbox")
    with services.database.transaction() as session:
        session.execute(text("ALTER TABLE circuit_breakers RENAME TO gone"))
    with capture_logs() as logs:
        worker.leave()
    assert [one["event"] for one in logs] == ["circuit_breakers_not_stored"]
    with services.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM worker_heartbeats")) == 0


def test_what_others_have_locked_is_stored_next_time(delivery: Delivery, own_database: Database) -> None:
    fail(delivery, "old")
    breaker_service.save(delivery, Pulse())
    succeed(delivery, "old")
    fail(delivery, "new")
    with own_database.transaction() as other, capture_logs() as logs:
        other.execute(text("SELECT FROM circuit_breakers FOR UPDATE"))
        breaker_service.save(delivery, Pulse(), patience_seconds=0.02)
    assert [(one["event"], one["log_level"]) for one in logs] == [("circuit_breakers_locked", "info")]
    assert stored(own_database) == ["new", "old"]
    breaker_service.save(delivery, Pulse())
    assert stored(own_database) == ["new"]


def test_two_workers_that_store_crosswise_at_once_both_succeed(own_database: Database, services: Services) -> None:
    workers = [delivery_on(own_database, services) for _ in range(2)]
    for worker, opening, closing in zip(workers, ("a", "z"), ("z", "a"), strict=True):
        fail(worker, closing)
        breaker_service.save(worker, Pulse())
        succeed(worker, closing)
        fail(worker, opening)
    both_have_put = Barrier(2)

    def meet(*executed: Any) -> None:
        if "DELETE FROM circuit_breakers" in executed[2]:
            both_have_put.wait(5)

    event.listen(own_database.bind, "before_cursor_execute", meet)
    threads = [Thread(target=breaker_service.save, args=[worker, Pulse()]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [worker.breakers.take_moved() for worker in workers] == [{}, {}]
