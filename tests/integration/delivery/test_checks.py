"""Messages that are claimed together are checked together, and again if they have waited since."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus
from app.db.session import Database, connect, driver_url
from app.models import Notification
from app.services.delivery import delivery_service, lease_service, readiness_service
from app.services.delivery.ports import Delivery
from app.services.delivery.readiness_service import FRESH_SECONDS, Check, LeaseLost
from app.utils.service_locator import Services
from tests.support.inline import inline_lane
from tests.support.scenario import Opener, act
from tests.support.statements import statements
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def page(add_policy: Opener, open_incident: Opener, services: Services, jobs: Any) -> dict[str, Any]:
    """An incident whose page waits in the outbox."""
    add_policy()
    incident = open_incident()
    jobs.plan()
    return incident


@pytest.fixture
def delivery(services: Services) -> Delivery:
    return services.delivery


def claimed(delivery: Delivery) -> Sequence[Notification]:
    """The pages that a lane has claimed."""
    inline_lane("email", delivery)._release()
    return lease_service.claim(delivery, "email", limit=10)


def status(session: Session) -> DeliveryStatus:
    session.expire_all()
    return session.scalars(select(Notification)).one().status


def old(check: Check) -> Check:
    return replace(check, read_at=check.read_at - FRESH_SECONDS)


def test_what_was_checked_just_now_is_sent_without_a_look_of_its_own(
    page: dict[str, Any], delivery: Delivery, outbox: Outbox
) -> None:
    [message] = claimed(delivery)
    checks = readiness_service.look_ahead(delivery, [message])
    with statements(delivery.database) as seen:
        assert delivery_service.try_once(delivery, message, checks[message.id]) is not None
    assert (seen, len(outbox.sent)) == ([], 1)


def test_an_old_check_is_repeated_so_that_an_acknowledged_page_is_not_sent(
    page: dict[str, Any], client: TestClient, user: Person, delivery: Delivery, session: Session, outbox: Outbox
) -> None:
    [message] = claimed(delivery)
    checks = readiness_service.look_ahead(delivery, [message])
    act(client, page, "acknowledge", user)
    assert delivery_service.try_once(delivery, message, old(checks[message.id])) is None
    assert (status(session), outbox.sent) == (DeliveryStatus.CANCELLED, [])


def test_an_acknowledgement_before_the_check_cancels_the_page(
    page: dict[str, Any], client: TestClient, user: Person, delivery: Delivery, session: Session, outbox: Outbox
) -> None:
    [message] = claimed(delivery)
    act(client, page, "acknowledge", user)
    checks = readiness_service.look_ahead(delivery, [message])
    assert delivery_service.try_once(delivery, message, checks[message.id]) is None
    assert (status(session), outbox.sent) == (DeliveryStatus.CANCELLED, [])


def test_a_message_that_was_taken_over_before_an_old_check_is_not_sent(
    page: dict[str, Any], delivery: Delivery, session: Session, clock: Clock, outbox: Outbox
) -> None:
    [message] = claimed(delivery)
    checks = readiness_service.look_ahead(delivery, [message])
    clock.advance(seconds=delivery.lease.total_seconds())
    lease_service.expire_leases(session)
    session.commit()
    clock.advance(minutes=1)
    assert len(claimed(delivery)) == 1
    with pytest.raises(LeaseLost):
        readiness_service.moment_to_send(delivery, message, old(checks[message.id]))


def test_the_moment_of_sending_counts_from_the_check(page: dict[str, Any], delivery: Delivery) -> None:
    [message] = claimed(delivery)
    check = readiness_service.look_ahead(delivery, [message])[message.id]
    began_at = readiness_service.moment_to_send(delivery, message, replace(check, read_at=check.read_at - 0.1))
    assert began_at is not None
    assert began_at - check.snapshot.at >= timedelta(seconds=0.1)


def test_it_finds_nothing_while_the_database_is_away_and_the_page_is_sent_afterwards(
    page: dict[str, Any], delivery: Delivery, outbox: Outbox, deaf_port: int
) -> None:
    [message] = claimed(delivery)
    away = connect(f"postgresql://nobody@127.0.0.1:{deaf_port}/nothing", pool_size=1)
    checks = readiness_service.look_ahead(replace(delivery, database=away), [message])
    assert checks == {}
    assert delivery_service.try_once(delivery, message, checks.get(message.id)) is not None
    assert len(outbox.sent) == 1


def test_it_finds_nothing_while_all_connections_are_taken(
    page: dict[str, Any], delivery: Delivery, own_url: str
) -> None:
    [message] = claimed(delivery)
    engine = create_engine(driver_url(own_url), pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        assert readiness_service.look_ahead(replace(delivery, database=Database(engine)), [message]) == {}
    engine.dispose()
