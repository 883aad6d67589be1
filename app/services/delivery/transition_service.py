"""Applies the decisions of `transition` to messages that are locked or leased. Nothing else does."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus
from app.crud import crud_lease, crud_outbox
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
    """Apply an event to a claimed message. Returns its new status.

    If another worker has taken the lease over, writes nothing and returns None. If the provider has reported delivery
    meanwhile, the message is delivered, whatever our call returned.
    """
    state = state_of(message)
    changes = apply(state, event, at)
    found = crud_lease.write(session, message.id, lease_token=lease_of(message), values=changes.values())
    if found is None:
        return None
    if found.delivered_at is not None:
        changes = apply(replace(state, delivered_at=found.delivered_at), event, at)
        crud_outbox.write(session, [message.id], changes.values())
    status: DeliveryStatus = dict(changes.columns).get("status", state.status)
    return status


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
