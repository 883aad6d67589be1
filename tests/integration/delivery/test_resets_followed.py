"""A worker follows the resets of circuit breakers: what waited for the provider is sent at once."""

import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.crud.clock import now
from app.db.session import WAKE_CHANNEL, Database
from app.models import Notification
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.ports import Delivery
from app.services.operations import channel_service
from app.utils.service_locator import Services
from app.worker import Jobs
from app.worker.listener import Listener
from tests.support.api import Api
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener
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
    jobs.plan()
    jobs.send()
    assert len(outbox.sent) == 1


def test_a_message_with_a_delay_of_its_own_is_not_hurried(
    api: Api, waiting: Notification, jobs: Jobs, session: Session, outbox: Outbox
) -> None:
    session.execute(text("UPDATE notifications SET next_attempt_at = next_attempt_at + interval '2 minutes'"))
    session.commit()
    api.call("POST /channels/email/reset")
    jobs.plan()
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


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_running_worker_follows_by_notify_or_by_its_next_tick(
    own_database: Database, worker: Jobs, services: Services, is_heard: bool
) -> None:
    heard = Event()

    def wake(job: str) -> None:
        if job == "resets":
            worker.follow_resets()
            heard.set()

    listener = Listener(own_database)
    if is_heard:
        listener.start(wake)
        wait_until(lambda: _is_listening(own_database), seconds=5)
    with own_database.transaction() as session:
        channel_service.reset(session, "email", None, services.channels)
    if is_heard:
        assert heard.wait(2)
    else:
        worker.plan()
    listener.stop()
    assert worker._breakers.opened() == {}


def _is_listening(database: Database) -> bool:
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = :listen")
    with database.transaction() as session:
        return bool(session.scalar(asked, {"listen": f"LISTEN {WAKE_CHANNEL}"}))
