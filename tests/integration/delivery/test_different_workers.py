"""Workers of which not every one has the same channels set up."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus
from app.crud import crud_heartbeat
from app.crud.clock import now
from app.crud.crud_heartbeat import ALIVE_WITHIN
from app.models import Notification
from app.services.operations import health_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.inline import inline_jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, steps
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def beat(session: Session, pulse: Pulse, *set_up: str) -> None:
    health_service.beat(session, pulse, {}, set_up)
    session.commit()


def test_what_another_worker_can_send_is_left_to_it_while_it_lives(
    client: TestClient, user: Person, jobs: Jobs, session: Session, clock: Clock, add_policy: Opener,
    open_incident: Opener, sms: Outbox, services: Services,
) -> None:  # fmt: skip
    put(client, user, "sms", address="+15550100")
    add_policy(steps=steps(0, target=user.id, channels=["sms"]))
    open_incident()
    jobs.plan()
    jobs.close()
    without = replace(services.delivery, channels={"email": services.delivery.channels["email"]})
    alone = inline_jobs(services, without)
    beat(session, Pulse(), "email", "sms")
    alone.send()
    page = session.scalars(select(Notification).filter_by(channel="sms")).one()
    assert (page.status, page.attempt) == (DeliveryStatus.PENDING, 0)
    clock.advance(seconds=ALIVE_WITHIN.total_seconds() + 1)
    alone.send()
    session.expire_all()
    assert (page.status, page.last_error) == (DeliveryStatus.RETRY, "The channel sms is not set up here.")


def test_that_workers_differ_is_said_once(
    session: Session, caplog: pytest.LogCaptureFixture, client: TestClient, admin: Person
) -> None:
    first, second = Pulse(), Pulse()
    beat(session, first, "sms", "email")
    beat(session, second, "email", "sms")
    assert "workers_differ" not in caplog.text
    beat(session, second, "email")
    for _ in range(2):
        beat(session, first, "sms", "email")
    said = [record.msg for record in caplog.records if "workers_differ" in str(record.msg)]
    assert len(said) == 2  # by each of them
    listed = admin.on(client).call("GET /workers")
    assert sorted(worker["set_up"] for worker in listed) == [["email"], ["email", "sms"]]
    assert crud_heartbeat.set_up(session, since=now(session) - ALIVE_WITHIN) == {
        frozenset({"email"}),
        frozenset({"email", "sms"}),
    }


def test_that_workers_agree_again_is_said_once(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    first, second = Pulse(), Pulse()
    beat(session, first, "email")
    beat(session, second, "sms")
    beat(session, second, "email")
    assert events(caplog) == [("ERROR", "workers_differ"), ("INFO", "workers_agree")]
    beat(session, second, "email")
    assert len(events(caplog)) == 2


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    said = [(record.levelname, str(record.msg)) for record in caplog.records]
    return [(level, name) for level, text in said for name in ("workers_differ", "workers_agree") if name in text]
