"""What a provider reports of messages: signed, in any order, any number of times."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.crud import crud_timeline
from app.crud.base import now
from app.db.session import Database
from app.integrations.channels.twilio_callback import signature
from app.models import Notification
from app.services import callback_service, delivery_service, outcome_service
from app.services.callback_service import DeliveryReport
from app.utils.service_locator import Services
from tests.answers import problem
from tests.conftest import Clock, Outbox, Person
from tests.operations import OPERATIONS
from tests.scenario import Opener, Tick, race, timeline

CALLBACK = "/v1/notifications/callbacks/twilio"
PUBLIC_URL = "https://pager.example.com"
TOKEN = "12345"
SID = "SM0123456789abcdef0123456789abcdef"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": PUBLIC_URL, "twilio_auth_token": SecretStr(TOKEN)})


@pytest.fixture
def page(add_policy: Opener, open_incident: Opener, tick: Tick) -> dict[str, Any]:
    """An incident of which the admin was paged; the provider took the page."""
    add_policy()
    incident: dict[str, Any] = open_incident()
    tick()
    return incident


def only(session: Session) -> Notification:
    session.expire_all()
    return session.scalars(select(Notification)).one()


def signed(url: str, form: dict[str, str]) -> dict[str, str]:
    """What Twilio sends along."""
    return {"X-Twilio-Signature": signature(url, list(form.items()), TOKEN)}


def report(client: TestClient, key: UUID | str, status: str, **fields: str) -> Response:
    form = {"MessageSid": SID, "MessageStatus": status, "To": "+15550100", **fields}
    query = urlencode({"key": str(key)})
    return client.post(f"{CALLBACK}?{query}", data=form, headers=signed(f"{PUBLIC_URL}{CALLBACK}?{query}", form))


def test_the_signature_is_the_one_of_twilios_documentation() -> None:
    caller = "+14158675309"
    form = {"CallSid": "CA1234567890ABCDE", "Caller": caller, "Digits": "1234", "From": caller, "To": "+18005551212"}
    expected = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    for order in (form.items(), reversed(form.items())):
        assert signature("https://mycompany.com/myapp.php?foo=1&bar=2", list(order), "12345") == expected


def test_the_documented_example_works_with_a_signature(
    page: dict[str, Any], client: TestClient, session: Session
) -> None:
    [operation] = [o for o in OPERATIONS if o.path == CALLBACK]
    content = operation.spec["requestBody"]["content"]["application/x-www-form-urlencoded"]
    form: dict[str, str] = content["example"]
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    answer = client.post(address, data=form, headers=signed(f"{PUBLIC_URL}{address}", form))
    assert (answer.status_code, answer.content) == (204, b"")
    assert only(session).status is DeliveryStatus.DELIVERED


def test_what_was_delivered_says_since_when(page: dict[str, Any], client: TestClient, session: Session) -> None:
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
    page: dict[str, Any], client: TestClient, session: Session, status: str, fields: dict[str, str], error: str
) -> None:
    report(client, only(session).idempotency_key, status, **fields)
    message = only(session)
    assert (message.status, message.last_error) == (DeliveryStatus.DEAD, error)
    assert message.fallback_at == message.ended_at
    assert message.fallback_at is not None
    assert message.delivered_at is None


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "scheduled", "pigeon", ""])
def test_what_is_under_way_changes_nothing(
    page: dict[str, Any], client: TestClient, session: Session, status: str
) -> None:
    before = only(session).status
    assert report(client, only(session).idempotency_key, status).status_code == 204
    assert only(session).status is before is DeliveryStatus.ACCEPTED


WORDS = ("queued", "sent", "delivered", "failed")
ENDS = {"delivered": ("delivered", "notification_delivered"), "failed": ("dead", "notification_failed")}


@pytest.mark.parametrize("order", list(permutations(WORDS)), ids="-".join)
def test_in_every_order_three_times_each_the_first_final_word_stands_and_is_told_once(
    page: dict[str, Any], client: TestClient, session: Session, admin: Person, order: tuple[str, ...]
) -> None:
    key = only(session).idempotency_key
    first = next(word for word in order if word in ENDS)
    status, event_type = ENDS[first]
    for word in order * 3:
        assert report(client, key, word).status_code == 204
    assert only(session).status == status
    told = [event for event in timeline(client, page, admin) if event in {told for _, told in ENDS.values()}]
    assert told == [event_type]


def test_of_reports_that_come_at_once_one_final_word_stands(own_database: Database) -> None:
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
            callback_service.take(session, DeliveryReport(key, arrived, error=None if arrived else "unreachable"))
        return 1

    assert sum(race(take, times=8)) == 8
    with own_database.transaction() as session:
        [stored] = session.scalars(select(Notification)).all()
    is_delivered = stored.status is DeliveryStatus.DELIVERED
    assert is_delivered or stored.status is DeliveryStatus.DEAD
    assert (stored.delivered_at is not None, stored.fallback_at is None) == (is_delivered, is_delivered)
    assert stored.last_error == (None if is_delivered else "unreachable")


@pytest.fixture
def being_sent(page: dict[str, Any], session: Session) -> Notification:
    """A page that a worker is handing over: the provider has it, the worker does not know yet."""
    message, at = only(session), now(session)
    message.lease_token, message.lease_until = uuid4(), at + timedelta(seconds=60)
    message.status, message.accepted_at, message.ended_at = DeliveryStatus.SENDING, None, None
    session.commit()
    session.refresh(message)
    session.expunge(message)  # as the worker has it: it sees nothing of what is written meanwhile
    return message


def accept(services: Services, message: Notification) -> bool:
    """What the worker writes when the provider's answer comes."""
    outcome = Outcome(AttemptOutcome.ACCEPTED, provider_id=SID)
    with services.database.transaction() as session:
        values = {"provider_id": SID}
        entries = outcome_service.settle(session, message, DeliveryStatus.ACCEPTED, values, outcome, at=now(session))
        crud_timeline.insert_all(session, entries or ())
        return entries is not None


def test_a_delivery_that_is_reported_before_we_know_of_the_acceptance_is_not_lost(
    being_sent: Notification, client: TestClient, session: Session, services: Services
) -> None:
    report(client, being_sent.idempotency_key, "delivered")
    assert only(session).status is DeliveryStatus.SENDING
    assert accept(services, being_sent)
    message = only(session)
    assert message.status is DeliveryStatus.DELIVERED
    assert (message.delivered_at is not None, message.provider_id) == (True, SID)


def test_a_failure_that_is_reported_before_we_know_of_the_acceptance_is_final(
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
    assert delivery_service.release_expired(session) == 1
    session.commit()
    assert only(session).status is DeliveryStatus.RETRY


@pytest.fixture
def bundle(page: dict[str, Any], session: Session) -> Notification:
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
    bundle: Notification, page: dict[str, Any], client: TestClient, session: Session, status: str, stored: str
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


@pytest.mark.parametrize("status", ["delivered", "queued"])
def test_a_message_that_is_not_ours_is_not_found(client: TestClient, status: str) -> None:
    problem(report(client, uuid4(), status), 404)


def test_a_key_that_is_none_is_refused(client: TestClient) -> None:
    problem(report(client, "seven", "delivered"), 422, pointer="key")


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "AAAA"}])
def test_without_twilios_signature_nothing_is_believed(
    page: dict[str, Any], client: TestClient, session: Session, headers: dict[str, str]
) -> None:
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    problem(client.post(address, data={"MessageStatus": "failed"}, headers=headers), 403)
    problem(client.post(f"{CALLBACK}?key=seven", data={"MessageStatus": "failed"}, headers=headers), 403)
    assert only(session).status is DeliveryStatus.ACCEPTED


def test_a_signature_is_good_for_its_own_message_and_words_only(
    page: dict[str, Any], client: TestClient, session: Session
) -> None:
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    form = {"MessageStatus": "delivered"}
    of_another = signed(f"{PUBLIC_URL}{CALLBACK}?key={uuid4()}", form)
    problem(client.post(address, data=form, headers=of_another), 403)
    of_other_words = signed(f"{PUBLIC_URL}{address}", form)
    problem(client.post(address, data={"MessageStatus": "failed"}, headers=of_other_words), 403)
    assert only(session).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize(
    ("body", "status"), [(b"\xff=1", 400), (b"&".join([b"a=1"] * 201), 400), (b"MessageStatus", 403), (b"", 403)]
)
def test_what_is_no_form_is_refused(client: TestClient, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(client.post(f"{CALLBACK}?key={uuid4()}", content=body, headers=headers), status)


def test_without_twilio_there_is_nothing_there(services: Services, application: FastAPI) -> None:
    settings = services.settings.model_copy(update={"twilio_auth_token": None})
    application.state.services = replace(services, settings=settings)
    with TestClient(application) as client:
        problem(report(client, uuid4(), "delivered"), 404)
