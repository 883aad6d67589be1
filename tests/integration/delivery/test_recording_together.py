"""Outcomes that are recorded together: each is written as if it were alone, and only by whoever holds the lease."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.crud import crud_lease, crud_outbox
from app.crud.clock import now
from app.crud.crud_lease import LeasedChange
from app.models import Notification, NotificationAttempt
from app.services.delivery import recording_service
from app.services.delivery.recording_service import Attempt
from app.utils.service_locator import Services
from tests.support.statements import statements

ACCEPTED = Outcome(AttemptOutcome.ACCEPTED, provider_id="SM1")
BUSY = Outcome(AttemptOutcome.RETRY, status_code=451, error="try “later”, \\ or 'never'")
NO_SUCH_USER = Outcome(AttemptOutcome.DEAD, status_code=550, error="no such user")


def being_sent(session: Session, **fields: Any) -> Notification:
    """A message that this worker is handing over, as the worker has it."""
    at = now(session)
    message = Notification(
        kind="manual_page", recipient=f"user:{uuid4()}", channel="email", address="a@example.com",
        subject="s", body="b",
        status=DeliveryStatus.SENDING, attempt=1, next_attempt_at=at, first_attempt_at=at, lease_token=uuid4(),
        lease_until=at + timedelta(seconds=60), fallback_at=at + timedelta(minutes=1), **fields,
    )  # fmt: skip
    crud_outbox.add(session, message)
    session.commit()
    session.refresh(message)
    session.expunge(message)  # it sees nothing of what is written meanwhile
    return message


def stored(session: Session, message: Notification) -> Notification:
    session.expire_all()
    return session.get_one(Notification, message.id)


def record(services: Services, *ended: tuple[Notification, Outcome], at: datetime) -> None:
    recording_service.record_all(services.delivery, [Attempt(message, outcome, at, 5) for message, outcome in ended])


def test_each_outcome_of_a_batch_is_written_to_its_own_message(session: Session, services: Services) -> None:
    at = now(session)
    accepted, also, busy, refused = (being_sent(session) for _ in range(4))
    other = replace(ACCEPTED, provider_id="SM2")
    record(services, (accepted, ACCEPTED), (busy, BUSY), (refused, NO_SUCH_USER), (also, other), at=at)
    written = [stored(session, message) for message in (accepted, also, busy, refused)]
    assert [(row.status, row.provider_id, row.last_error, row.lease_token) for row in written] == [
        ("accepted", "SM1", None, None),
        ("accepted", "SM2", None, None),
        ("retry", None, BUSY.error, None),
        ("dead", None, "no such user", None),
    ]
    assert [row.next_attempt_at is not None for row in written] == [False, False, True, False]
    assert written[2].next_attempt_at is not None
    assert written[2].next_attempt_at > at
    assert written[3].fallback_at == written[3].ended_at
    assert len(session.scalars(select(NotificationAttempt)).all()) == 4


def test_a_batch_is_written_by_whoever_holds_the_lease(session: Session, services: Services) -> None:
    mine, theirs, arrived = being_sent(session), being_sent(session), being_sent(session)
    token = uuid4()
    stored(session, theirs).lease_token = token
    stored(session, arrived).delivered_at = at = now(session)
    session.commit()
    record(services, (mine, ACCEPTED), (theirs, ACCEPTED), (arrived, BUSY), at=at)
    assert stored(session, mine).status is DeliveryStatus.ACCEPTED
    taken_over = stored(session, theirs)
    assert (taken_over.status, taken_over.lease_token, taken_over.provider_id) == (DeliveryStatus.SENDING, token, None)
    delivered = stored(session, arrived)
    assert (delivered.status, delivered.next_attempt_at, delivered.delivered_at) == (DeliveryStatus.DELIVERED, None, at)


def test_it_tells_what_was_found_of_each_message_whose_lease_is_held(session: Session) -> None:
    mine, theirs, arrived = being_sent(session), being_sent(session), being_sent(session)
    at = stored(session, arrived).delivered_at = now(session)
    session.commit()
    tokens = {message.id: message.lease_token or uuid4() for message in (mine, theirs, arrived)} | {theirs.id: uuid4()}
    changes = [LeasedChange(id_, token, {"last_error": str(id_)}) for id_, token in tokens.items()]
    found = crud_lease.write(session, changes)
    assert {id_: fenced.delivered_at for id_, fenced in found.items()} == {mine.id: None, arrived.id: at}
    errors = [stored(session, message).last_error for message in (mine, theirs, arrived)]
    assert errors == [str(mine.id), None, str(arrived.id)]


@pytest.mark.parametrize("number", [1, 20])
def test_alike_outcomes_take_one_statement(session: Session, services: Services, number: int) -> None:
    messages = [being_sent(session) for _ in range(number)]
    with statements(services.database) as seen:
        record(services, *((message, ACCEPTED) for message in messages), at=now(session))
    assert len([one for one in seen if one.startswith("UPDATE notifications")]) == 1
    assert {stored(session, message).status for message in messages} == {DeliveryStatus.ACCEPTED}
