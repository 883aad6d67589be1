"""Applies the decisions of `transition` to messages that are locked or leased. Nothing else does."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus
from app.crud import crud_lease, crud_outbox
from app.crud.crud_lease import LeasedChange
from app.models import Notification
from app.services.delivery.transition import Changes, Event, State, apply


def apply_all(session: Session, messages: Sequence[Notification], event: Event, *, at: datetime) -> list[Notification]:
    """Apply an event to messages that this transaction has locked. Returns the changed ones."""
    alike: dict[Changes, list[Notification]] = defaultdict(list)
    for message in messages:
        alike[apply(state_of(message), event, at)].append(message)
    alike.pop(Changes(), None)
    for changes, changed in alike.items():
        crud_outbox.write_all(session, changed, changes.values())
    return [message for changed in alike.values() for message in changed]


def apply_leased(session: Session, message: Notification, event: Event, *, at: datetime) -> DeliveryStatus | None:
    """Apply an event to a claimed message. Returns its new status; None if another worker has taken it over."""
    return apply_each_leased(session, [(message, event)], at=at).get(message.id)


def apply_each_leased(
    session: Session, happened: Iterable[tuple[Notification, Event]], *, at: datetime
) -> dict[int, DeliveryStatus]:
    """Apply to each claimed message its event. Returns their new statuses by id.

    Writes nothing of a message that another worker has taken over, and does not return it. If the provider has reported
    delivery meanwhile, the message is delivered, whatever our call returned.
    """
    decided = {message.id: (message, event, apply(state_of(message), event, at)) for message, event in happened}
    found = crud_lease.write(
        session,
        [LeasedChange(id_, lease_of(message), changes.values()) for id_, (message, _, changes) in decided.items()],
    )
    statuses = {}
    for id_, fenced in found.items():
        message, event, changes = decided[id_]
        if fenced.delivered_at is not None:
            changes = apply(replace(state_of(message), delivered_at=fenced.delivered_at), event, at)
            crud_outbox.write(session, [id_], changes.values())
        statuses[id_] = dict(changes.columns).get("status", message.status)
    return statuses


def lease_of(message: Notification) -> UUID:
    """The token of a claimed message."""
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return message.lease_token


def state_of(message: Notification) -> State:
    return State(
        status=message.status,
        kind=message.kind,
        is_throttled=message.is_throttled,
        is_bundled=message.bundle_id is not None,
        attempt=message.attempt,
        provider_id=message.provider_id,
        first_attempt_at=message.first_attempt_at,
        accepted_at=message.accepted_at,
        delivered_at=message.delivered_at,
    )
