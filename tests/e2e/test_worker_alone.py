"""A worker without the service: it pages at once, says that it lives, pings, and ends when it is told to."""

import resource
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import DeliveryStatus, Severity
from app.db.session import Database
from app.models import Notification, NotificationPreference, User, WorkerHeartbeat
from app.schemas.escalation import PolicyCreate
from app.services.incidents import alert_service
from app.services.policies import policy_service
from app.utils.service_locator import build_services
from tests.e2e.conftest import StartWorker
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.scenario import steps
from tests.support.waiting import wait_until
from tests.support.world import add_admins

pytestmark = pytest.mark.e2e

DEADLINE_SECONDS = 120


@pytest.fixture
def outside() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture
def policed(own_database: Database, settings: Settings) -> Database:
    """A database with an administrator and a policy that pages it at once."""
    services = build_services(settings, own_database)
    add_admins(own_database)
    with own_database.transaction() as session:
        policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), services.paging)
    return own_database


def open_incident(database: Database) -> None:
    with database.transaction() as session:
        signals = [AlertSignal("elastic", None, True, "Disk full", None, None, "api", {})]
        alert_service.ingest(session, signals, default_severity=Severity.HIGH)


def accepted(database: Database) -> int:
    with database.transaction() as session:
        return len(session.scalars(select(Notification).filter_by(status=DeliveryStatus.ACCEPTED)).all())


def alive(database: Database) -> int:
    with database.transaction() as session:
        return len(session.scalars(select(WorkerHeartbeat)).all())


def test_workers_alone_page_say_that_they_live_and_sign_off(policed: Database, start_worker: StartWorker) -> None:
    workers = [start_worker(), start_worker()]
    wait_until(lambda: alive(policed) == 2, seconds=DEADLINE_SECONDS)
    open_incident(policed)
    wait_until(lambda: accepted(policed) == 1, seconds=DEADLINE_SECONDS)
    for worker in workers:
        assert worker.stop() == 0
    assert alive(policed) == 0


def test_a_worker_makes_no_administrator(own_database: Database, start_worker: StartWorker) -> None:
    """Its output may be kept where everybody reads it, and the service may not be meant to have that account."""
    start_worker(FIRST_SUPERUSER="boss@example.com", FIRST_SUPERUSER_PASSWORD="correct horse battery")
    wait_until(lambda: alive(own_database) == 1, seconds=DEADLINE_SECONDS)
    with own_database.transaction() as session:
        assert session.scalars(select(User)).all() == []


def test_a_worker_raises_its_descriptors(
    few_descriptors: int, own_database: Database, start_worker: StartWorker
) -> None:
    worker = start_worker()
    wait_until(lambda: alive(own_database) == 1, seconds=DEADLINE_SECONDS)
    assert resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE) == (few_descriptors, few_descriptors)


def test_a_worker_that_is_told_to_end_waits_for_no_provider_that_hangs(
    policed: Database, start_worker: StartWorker, outside: HttpServer
) -> None:
    outside.default = Answer(fault="hang")
    with policed.transaction() as session:
        admin = session.scalars(select(User)).one()
        session.add(NotificationPreference(user_id=admin.id, channel="webhook", address=outside.url, position=1))
    worker = start_worker(
        WEBHOOK_ALLOW_PRIVATE_ADDRESSES="true", WEBHOOK_TIMEOUT_SECONDS="50", SHUTDOWN_GRACE_SECONDS="1"
    )
    open_incident(policed)
    wait_until(lambda: bool(outside.requests), seconds=DEADLINE_SECONDS)
    assert worker.stop() == 0
    with policed.transaction() as session:
        page = session.scalars(select(Notification)).one()
        assert (page.status, page.lease_until is not None) == (DeliveryStatus.SENDING, True)


def test_the_outside_is_pinged_while_all_is_well(
    policed: Database, start_worker: StartWorker, outside: HttpServer
) -> None:
    start_worker(DEAD_MAN_URL=f"{outside.url}/alive", DEAD_MAN_INTERVAL_SECONDS="5")
    wait_until(lambda: bool(outside.requests), seconds=DEADLINE_SECONDS)
    assert outside.requests[0].path == "/alive"


@pytest.mark.parametrize(
    "trouble",
    [
        "UPDATE escalations SET next_run_at = now() + interval '1 day', unreachable_since = now()",
        "UPDATE escalations SET next_run_at = now() + interval '9 minutes', quarantined_at = now()",
        "ALTER TABLE notification_paces RENAME TO lost",
    ],
    ids=["nobody is reached", "a step fails", "nothing can be sent"],
)
def test_the_outside_is_not_pinged_while_something_is_wrong(
    policed: Database, start_worker: StartWorker, outside: HttpServer, trouble: str
) -> None:
    open_incident(policed)
    with policed.transaction() as session:
        session.execute(text(trouble))
    worker = start_worker(DEAD_MAN_URL=f"{outside.url}/alive", DEAD_MAN_INTERVAL_SECONDS="5")
    wait_until(lambda: worker.times_said("dead_man_withheld") >= 1, seconds=DEADLINE_SECONDS)
    outside.requests.clear()  # the worker may have been well until it tried
    wait_until(lambda: worker.times_said("dead_man_withheld") >= 3, seconds=DEADLINE_SECONDS)
    assert outside.requests == []
    assert worker.process.poll() is None
