"""A worker follows the resets of circuit breakers: what waited for the provider is sent at once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from app.crud.clock import now
from app.db.session import WAKE_CHANNEL, Database
from app.models import Notification
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.hold_service import BATCH
from app.services.delivery.ports import Delivery
from app.services.operations import channel_service
from app.utils.service_locator import Services
from app.worker import Jobs
from app.worker.listener import Listener
from tests.support.api import Api
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener
from tests.support.statements import statements
from tests.support.waiting import wait_until
from tests.support.world import Outbox, Person

KEY = ("email", "outbox")


@pytest.fixture
def delivery(services: Services) -> Delivery:
    return services.delivery


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


def fail(delivery: Delivery) -> None:
    for number in range(OPENS_AFTER):
        delivery.breakers.record(*KEY, number, error="503", at=time.monotonic())


@pytest.fixture
def waiting(
    delivery: Delivery, add_policy: Opener, open_incident: Opener, jobs: Jobs, session: Session
) -> Notification:
    """A page that waits for the end of its provider's pause."""
    fail(delivery)
    add_policy()
    open_incident()
    jobs.plan()
    jobs.send()
    page = session.scalars(select(Notification)).one()
    assert page.next_attempt_at is not None
    assert page.next_attempt_at > now(session) + timedelta(seconds=1)
    return page


def test_what_waited_is_sent_at_once(api: Api, waiting: Notification, jobs: Jobs, outbox: Outbox) -> None:
    jobs.send()
    assert outbox.sent == []
    api.call("POST /channels/email/reset")
    jobs.follow_resets()
    jobs.send()
    assert len(outbox.sent) == 1


def test_a_message_with_a_delay_of_its_own_is_not_hurried(
    api: Api, waiting: Notification, jobs: Jobs, session: Session, outbox: Outbox
) -> None:
    session.execute(text("UPDATE notifications SET next_attempt_at = next_attempt_at + interval '2 minutes'"))
    session.commit()
    api.call("POST /channels/email/reset")
    jobs.follow_resets()
    jobs.send()
    assert outbox.sent == []


@pytest.fixture
def worker(own_database: Database, services: Services) -> Iterator[Jobs]:
    """A worker whose breaker is open, on a database of its own."""
    delivery = Delivery(own_database, services.channels, services.paging, timedelta(seconds=60))
    fail(delivery)
    jobs = inline_jobs(services, delivery)
    jobs.beat()
    yield jobs
    jobs.close()


def reset(database: Database, services: Services) -> None:
    with database.transaction() as session:
        channel_service.reset(session, "email", None, services.channels)


def test_a_running_worker_follows_when_it_is_notified(own_database: Database, worker: Jobs, services: Services) -> None:
    heard = Event()

    def wake(job: str) -> None:
        if job == "resets":
            worker.follow_resets()
            heard.set()

    listener = Listener(own_database)
    listener.start(wake)
    wait_until(lambda: _is_listening(own_database), seconds=5)
    reset(own_database, services)
    assert heard.wait(2)
    listener.stop()
    assert worker._breakers.opened() == {}


def test_the_plan_wakes_the_job_that_follows_and_does_not_wait_for_it(
    database: Database, jobs: Jobs, delivery: Delivery, services: Services
) -> None:
    woken: list[int] = []
    jobs.on_reset = lambda: woken.append(1)
    fail(delivery)
    reset(database, services)
    jobs.plan()
    assert (woken, list(delivery.breakers.opened())) == ([1], [KEY])
    jobs.follow_resets()
    jobs.plan()
    assert (woken, delivery.breakers.opened()) == ([1], {})


def test_what_a_heartbeat_freed_is_followed_up_by_the_plan(
    database: Database, jobs: Jobs, delivery: Delivery, services: Services
) -> None:
    """The first heartbeat of a worker that could not restore its breakers at the start follows the resets itself."""
    woken: list[int] = []
    jobs.on_reset = lambda: woken.append(1)
    fail(delivery)
    assert delivery.breakers.hold([(KEY, 1, datetime.now(UTC))], asked_at=time.monotonic()) == {}
    reset(database, services)
    jobs.beat()
    assert delivery.breakers.opened() == {}
    jobs.plan()
    assert woken == [1]
    jobs.follow_resets()
    jobs.plan()
    assert woken == [1]


def test_the_heartbeat_does_not_wait_for_what_is_made_due(
    own_database: Database, worker: Jobs, services: Services
) -> None:
    worker._breakers.hold([(KEY, 1, datetime.now(UTC))], asked_at=time.monotonic())
    reset(own_database, services)
    beats: list[bool] = []

    def beat(*executed: Any) -> None:
        if "FROM notifications" in executed[2] and not beats:
            thread = Thread(target=worker.beat, daemon=True)
            thread.start()
            thread.join(5)
            beats.append(not thread.is_alive())

    event.listen(own_database.bind, "before_cursor_execute", beat)
    worker.follow_resets()
    assert beats == [True]


def test_what_waited_is_made_due_in_batches_until_the_worker_stops(
    database: Database, delivery: Delivery, jobs: Jobs
) -> None:
    fail(delivery)
    delivery.breakers.hold([(KEY, number, datetime.now(UTC)) for number in range(2 * BATCH + 1)], asked_at=1.0)
    delivery.breakers.reset(*KEY, at=2.0)
    with statements(database) as seen:
        jobs.stopping.set()
        jobs.follow_resets()
        assert _looked_up(seen) == 0
        jobs.stopping.clear()
        jobs.follow_resets()
        assert _looked_up(seen) == 3


def _looked_up(seen: list[str]) -> int:
    return sum("FROM notifications" in statement for statement in seen)


def _is_listening(database: Database) -> bool:
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = :listen")
    with database.transaction() as session:
        return bool(session.scalar(asked, {"listen": f"LISTEN {WAKE_CHANNEL}"}))
