"""What a provider reports of messages: signed, in any order, any number of times."""

from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.crud import crud_timeline
from app.crud.clock import now
from app.db.session import Database
from app.models import Notification
from app.services.delivery import callback_service, lease_service, outcome_service
from app.services.delivery.callback_service import DeliveryReport
from app.services.delivery.outcome_service import Ended
from app.services.delivery.transition import Event, EventType
from app.utils.service_locator import Services, build_services
from tests.support.scenario import Tick, race, timeline
from tests.support.twilio import PUBLIC_URL, SID, TOKEN, only, report
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": PUBLIC_URL, "twilio_auth_token": SecretStr(TOKEN)})


def test_what_was_delivered_says_since_when(accepted: dict[str, Any], client: TestClient, session: Session) -> None:
    key = only(session).idempotency_key
    assert report(client, key, "delivered").status_code == 204
    message = only(session)
    assert message.status is DeliveryStatus.DELIVERED
    assert message.delivered_at == message.ended_at
    assert message.delivered_at is not None
    assert message.accepted_at is not None
    assert (message.fallback_at, message.last_error) == (None, None)


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        ("undelivered", {"ErrorCode": "30003"}, "Twilio reports that it is undelivered (error 30003)."),
        ("failed", {}, "Twilio reports that it is failed."),
        ("failed", {"ErrorCode": "<b>"}, "Twilio reports that it is failed."),
    ],
)
def test_what_never_arrived_is_dead_and_the_next_channel_is_due_at_once(
    accepted: dict[str, Any], client: TestClient, session: Session, status: str, fields: dict[str, str], error: str
) -> None:
    report(client, only(session).idempotency_key, status, **fields)
    message = only(session)
    assert (message.status, message.last_error) == (DeliveryStatus.DEAD, error)
    assert message.fallback_at == message.ended_at
    assert message.fallback_at is not None
    assert message.delivered_at is None


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "scheduled", "pigeon", ""])
def test_what_is_under_way_changes_nothing(
    accepted: dict[str, Any], client: TestClient, session: Session, status: str
) -> None:
    before = only(session).status
    assert report(client, only(session).idempotency_key, status).status_code == 204
    assert only(session).status is before is DeliveryStatus.ACCEPTED


WORDS = ("queued", "sent", "delivered", "failed")
ENDS = {"delivered": ("delivered", "notification_delivered"), "failed": ("dead", "notification_failed")}


@pytest.mark.parametrize("order", list(permutations(WORDS)), ids="-".join)
def test_in_every_order_the_first_final_word_stands_and_is_told_once(
    accepted: dict[str, Any], client: TestClient, session: Session, admin: Person, order: tuple[str, ...]
) -> None:
    key = only(session).idempotency_key
    first = next(word for word in order if word in ENDS)
    status, event_type = ENDS[first]
    for word in order * 3:
        assert report(client, key, word).status_code == 204
    assert only(session).status == status
    told = [event for event in timeline(client, accepted, admin) if event in {told for _, told in ENDS.values()}]
    assert told == [event_type]


def test_of_reports_that_come_at_once_one_final_word_stands(own_database: Database) -> None:
    paging = build_services(Settings(_env_file=None), own_database).paging
    with own_database.transaction() as session:
        fields = {"recipient": "user:1", "channel": "sms", "address": "+15550100", "kind": "manual_page"}
        message = Notification(subject="s", body="b", **fields)
        message.status = DeliveryStatus.ACCEPTED
        session.add(message)
        session.flush()
        key = message.idempotency_key
    words = [True, False] * 4

    def take() -> int:
        arrived = words.pop()
        with own_database.transaction() as session:
            report = DeliveryReport(key, arrived, error=None if arrived else "unreachable")
            callback_service.take(session, report, paging)
        return 1

    assert sum(race(take, times=8)) == 8
    with own_database.transaction() as session:
        [stored] = session.scalars(select(Notification)).all()
    is_delivered = stored.status is DeliveryStatus.DELIVERED
    assert is_delivered or stored.status is DeliveryStatus.DEAD
    assert (stored.delivered_at is not None, stored.fallback_at is None) == (is_delivered, is_delivered)
    assert stored.last_error == (None if is_delivered else "unreachable")


@pytest.fixture
def being_sent(accepted: dict[str, Any], session: Session) -> Notification:
    """A page that a worker is handing over: the provider has it, the worker does not know yet."""
    message, at = only(session), now(session)
    message.lease_token, message.lease_until = uuid4(), at + timedelta(seconds=60)
    message.status, message.accepted_at, message.ended_at = DeliveryStatus.SENDING, None, None
    session.commit()
    session.refresh(message)
    session.expunge(message)  # as the worker has it: it sees nothing of what is written meanwhile
    return message


MEANS = {
    DeliveryStatus.ACCEPTED: EventType.ACCEPTED,
    DeliveryStatus.RETRY: EventType.FAILED,
    DeliveryStatus.DEAD: EventType.REFUSED,
}


def accept(services: Services, message: Notification, status: DeliveryStatus = DeliveryStatus.ACCEPTED) -> bool:
    """What the worker writes when the provider's answer comes, or fails to."""
    outcome = Outcome(AttemptOutcome(status), provider_id=SID)
    with services.database.transaction() as session:
        at = now(session)
        event = Event(MEANS[status], until=at, provider_id=SID, first_attempt_at=at)
        entries = outcome_service.end_attempts(session, [Ended(message, event, outcome)], at=at, names={})
        crud_timeline.insert_all(session, entries.get(message.id, []))
        return message.id in entries


def test_a_delivery_reported_before_the_acceptance_is_not_lost(
    being_sent: Notification, client: TestClient, session: Session, services: Services
) -> None:
    report(client, being_sent.idempotency_key, "delivered")
    assert only(session).status is DeliveryStatus.SENDING
    assert accept(services, being_sent)
    message = only(session)
    assert message.status is DeliveryStatus.DELIVERED
    assert (message.delivered_at is not None, message.provider_id) == (True, SID)


@pytest.mark.parametrize("status", [DeliveryStatus.RETRY, DeliveryStatus.DEAD])
def test_a_message_reported_as_delivered_is_not_sent_again(
    being_sent: Notification, client: TestClient, session: Session, services: Services, clock: Clock, tick: Tick,
    outbox: Outbox, admin: Person, accepted: dict[str, Any], status: DeliveryStatus,
) -> None:  # fmt: skip
    report(client, being_sent.idempotency_key, "delivered")
    assert accept(services, being_sent, status)
    report(client, being_sent.idempotency_key, "delivered")
    clock.advance(minutes=10)
    tick()
    assert "notification_failed" not in timeline(client, accepted, admin)
    message = only(session)
    assert (message.status, message.next_attempt_at, message.fallback_at) == (DeliveryStatus.DELIVERED, None, None)
    assert len(outbox.sent) == 1


def test_a_code_that_arrived_is_erased_though_its_worker_died(session: Session, client: TestClient) -> None:
    fields = {"recipient": "user:1", "channel": "sms", "address": "+15550100", "kind": "verification"}
    at = now(session)
    secret = Notification(subject="Your code: 123456", body="123456", status=DeliveryStatus.SENDING, **fields)
    secret.lease_token, secret.lease_until = uuid4(), at
    session.add(secret)
    session.commit()
    report(client, secret.idempotency_key, "delivered")
    lease_service.expire_leases(session)
    session.commit()
    message = only(session)
    assert (message.status, message.subject, message.body) == (DeliveryStatus.DELIVERED, "", "")


def test_a_failure_reported_before_the_acceptance_is_final(
    being_sent: Notification, client: TestClient, session: Session, services: Services
) -> None:
    report(client, being_sent.idempotency_key, "failed")
    assert not accept(services, being_sent)
    message = only(session)
    assert message.status is DeliveryStatus.DEAD
    assert message.fallback_at is not None


def test_what_was_delivered_is_not_sent_again_though_its_worker_died(
    being_sent: Notification, client: TestClient, session: Session, clock: Clock, tick: Tick, outbox: Outbox
) -> None:
    clock.advance(seconds=60)
    with_released(session)
    report(client, being_sent.idempotency_key, "delivered")
    clock.advance(minutes=10)
    tick()
    assert only(session).status is DeliveryStatus.DELIVERED
    assert len(outbox.sent) == 1


def with_released(session: Session) -> None:
    assert lease_service.expire_leases(session) == 1
    session.commit()
    assert only(session).status is DeliveryStatus.RETRY


@pytest.fixture
def bundle(accepted: dict[str, Any], session: Session) -> Notification:
    """A bundle that was accepted, and the page that it names."""
    named = only(session)
    fields = {"recipient": named.recipient, "channel": named.channel, "address": named.address}
    made = Notification(kind="bundle", is_exempt=True, subject="s", body="b", **fields)
    made.status = DeliveryStatus.ACCEPTED
    session.add(made)
    session.flush()
    named.bundle_id = made.id
    session.commit()
    return made


@pytest.mark.parametrize(("status", "stored"), [("delivered", "delivered"), ("undelivered", "dead")])
def test_the_pages_of_a_bundle_end_as_it_does(
    bundle: Notification, accepted: dict[str, Any], client: TestClient, session: Session, status: str, stored: str
) -> None:
    report(client, bundle.idempotency_key, status)
    session.expire_all()
    named = session.scalars(select(Notification).where(Notification.bundle_id == bundle.id)).one()
    assert (bundle.status, named.status) == (stored, stored)
    assert (bundle.fallback_at, named.fallback_at is not None) == (None, stored == "dead")


def test_a_page_of_a_bundle_that_was_cancelled_stays_so(
    bundle: Notification, client: TestClient, session: Session
) -> None:
    query = select(Notification).where(Notification.bundle_id == bundle.id)
    session.scalars(query).one().status = DeliveryStatus.CANCELLED
    session.commit()
    report(client, bundle.idempotency_key, "failed")
    session.expire_all()
    assert session.scalars(query).one().status is DeliveryStatus.CANCELLED


@pytest.mark.parametrize("status", ["delivered", "failed"])
def test_the_text_of_a_secret_message_goes_with_its_end(client: TestClient, session: Session, status: str) -> None:
    fields = {"recipient": "user:1", "channel": "sms", "address": "+15550100", "kind": "verification"}
    secret = Notification(subject="Your code: 123456", body="123456", next_attempt_at=now(session), **fields)
    session.add(secret)
    session.commit()
    report(client, secret.idempotency_key, status)
    message = only(session)
    assert (message.subject, message.body, message.fallback_at) == ("", "", None)


def test_what_was_reported_as_delivered_is_not_sent_again_when_it_is_put_off(
    being_sent: Notification, client: TestClient, session: Session, services: Services, clock: Clock, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    report(client, being_sent.idempotency_key, "delivered")
    lease_service.give_back(services.delivery, being_sent)
    clock.advance(minutes=10)
    tick()
    assert (only(session).status, len(outbox.sent)) == (DeliveryStatus.DELIVERED, 1)
