"""The set-based statements write what the decider says, and nothing to what it leaves alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus, NotificationKind
from app.crud import crud_outbox, crud_throttle
from app.crud.clock import now
from app.crud.crud_outbox import Lease
from app.models import Notification
from app.services.delivery import lease_service
from app.services.delivery.transition import Event, EventType, apply
from app.services.delivery.transition_service import state_of

MINUTE = timedelta(minutes=1)
TOKEN = UUID(int=7)
STATES: dict[str, dict[str, Any]] = {
    "throttled": {"is_throttled": True},
    "pending": {},
    "bundled": {"next_attempt_at": None},
    "sending": {"status": DeliveryStatus.SENDING, "attempt": 1},
    "sending again": {"status": DeliveryStatus.SENDING, "attempt": 2, "tried": True},
    "arrived": {"status": DeliveryStatus.SENDING, "attempt": 1, "arrived": True},
    "retry": {"status": DeliveryStatus.RETRY, "attempt": 1, "tried": True},
    "accepted": {"status": DeliveryStatus.ACCEPTED, "attempt": 1, "next_attempt_at": None},
    "delivered": {"status": DeliveryStatus.DELIVERED, "attempt": 1, "next_attempt_at": None, "arrived": True},
    "dead": {"status": DeliveryStatus.DEAD, "attempt": 1, "next_attempt_at": None},
    "cancelled": {"status": DeliveryStatus.CANCELLED, "attempt": 1},
}


def add(session: Session, state: str, kind: NotificationKind, *, at: datetime) -> Notification:
    """A message in a state, due a minute ago."""
    fields = dict(STATES[state])
    fields |= {"first_attempt_at": at - 2 * MINUTE} if fields.pop("tried", False) else {}
    fields |= {"delivered_at": at - MINUTE} if fields.pop("arrived", False) else {}
    if fields.get("status") is DeliveryStatus.SENDING:
        fields |= {"lease_token": uuid4(), "lease_until": at - MINUTE}
    recipient = {"recipient": "user:1", "channel": "email", "address": "a@example.com"}
    defaults = {"next_attempt_at": at - MINUTE, "subject": "Your code: 123456", "body": "123456"}
    message = Notification(kind=kind, **{**recipient, **defaults, **fields})
    crud_outbox.add(session, message)
    if state == "bundled":
        bundle = Notification(kind=NotificationKind.BUNDLE, **recipient, subject="s", body="b")
        message.bundle_id = crud_outbox.add(session, bundle).id
        session.flush()
    session.refresh(message)
    return message


def columns(message: Notification) -> dict[str, Any]:
    return {column.key: getattr(message, column.key) for column in inspect(Notification).column_attrs}


def claim(session: Session, _message: Notification, at: datetime) -> None:
    crud_outbox.claim_due(session, "email", lease=Lease(at, at + MINUTE, TOKEN), limit=10)


def postpone(session: Session, _message: Notification, at: datetime) -> None:
    crud_throttle.postpone(session, "email", ["user:1"], until=at + MINUTE)


def release_excluding(session: Session, _message: Notification, _at: datetime) -> None:
    crud_throttle.release_excluding(session, ["sms"])


def expire(session: Session, _message: Notification, _at: datetime) -> None:
    lease_service.expire_leases(session)


def postpone_fallback(session: Session, message: Notification, at: datetime) -> None:
    crud_outbox.postpone_fallback(session, message.id, until=at + MINUTE)


def release(session: Session, message: Notification, at: datetime) -> None:
    still = crud_throttle.lock_still_waiting(session, [message.id])
    crud_throttle.release(session, still, at=at)


def bundle(session: Session, _message: Notification, _at: datetime) -> None:
    waiting = [page.id for page in crud_throttle.lock_waiting(session, "email", "user:1")]
    carrier = Notification(
        kind=NotificationKind.BUNDLE, recipient="user:1", channel="email", address="a", subject="", body=""
    )
    crud_throttle.bundle(session, waiting, bundle_id=crud_outbox.add(session, carrier).id)


STATEMENTS: dict[EventType, tuple[Callable[[Session, Notification, datetime], None], dict[str, Any]]] = {
    EventType.CLAIMED: (claim, {"lease_token": TOKEN, "until": MINUTE}),
    EventType.THROTTLED: (postpone, {"until": MINUTE}),
    EventType.RELEASED: (release, {"until": timedelta()}),
    EventType.BUNDLED: (bundle, {}),
    EventType.LEASE_EXPIRED: (expire, {}),
    EventType.FALLBACK_POSTPONED: (postpone_fallback, {"until": MINUTE}),
}
CASES = [*((event, *case) for event, case in STATEMENTS.items()), (EventType.RELEASED, release_excluding, {})]


@pytest.mark.parametrize("kind", [NotificationKind.PAGE, NotificationKind.VERIFICATION])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("event_type", "statement", "fields"), CASES, ids=[case[1].__name__ for case in CASES])
def test_a_statement_writes_what_the_decider_says(
    session: Session,
    event_type: EventType,
    statement: Callable[[Session, Notification, datetime], None],
    fields: dict[str, Any],
    state: str,
    kind: NotificationKind,
) -> None:
    at = now(session)
    message = add(session, state, kind, at=at)
    until = {"until": at + fields["until"]} if "until" in fields else {}
    event = Event(event_type, **{**fields, **until})
    expected = {**columns(message), **apply(state_of(message), event, at).values()}
    statement(session, message, at)
    session.expire_all()
    found = columns(session.scalars(select(Notification).where(Notification.id == message.id)).one())
    expected["bundle_id"] = found["bundle_id"]  # which message names it is no part of its state
    assert found == expected
