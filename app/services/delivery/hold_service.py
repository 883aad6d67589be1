"""Messages that wait because their provider is not called: they are due at once when its circuit breaker closes."""

from collections.abc import Mapping, Sequence
from threading import Event as StopEvent

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.crud import crud_lease
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.crud.wakeup import wake
from app.models import Notification
from app.services.delivery.held import Due, Key
from app.services.delivery.ports import Delivery
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all

log = structlog.get_logger()

BATCH = 500


def hold(delivery: Delivery, deferred: Sequence[tuple[Key, Notification, Due]], *, asked_at: float) -> None:
    """Remember messages that were put off. Their breaker may have closed since it was asked: then they are due."""
    waiting = [(key, message.id, due) for key, message, due in deferred]
    missed = delivery.breakers.hold(waiting, asked_at=asked_at)
    if missed:
        _bring_forward_all(delivery, missed)


def bring_forward_freed(delivery: Delivery, stopping: StopEvent) -> None:
    """Make due at once what waited for breakers that have closed since. Stops after a batch that fails."""
    while not stopping.is_set() and (batch := delivery.breakers.take_freed(BATCH)):
        if not _bring_forward_all(delivery, batch):
            return


def _bring_forward_all(delivery: Delivery, held: Mapping[int, Due]) -> bool:
    """Make messages due at once that still wait for this very time. Never raises: their wait is over soon anyway."""
    try:
        with delivery.database.transaction() as session:
            _bring_forward(session, held)
    except SQLAlchemyError as error:
        log.warning("deliveries_not_brought_forward", messages=len(held), reason=type(error).__name__)
        return False
    return True


def _bring_forward(session: Session, held: Mapping[int, Due]) -> None:
    wait_briefly(session)
    at = now(session)
    waiting = crud_lease.lock_unleased(session, held)
    still_held = [message for message in waiting if message.next_attempt_at == held[message.id] > at]
    if apply_all(session, still_held, Event(EventType.BROUGHT_FORWARD, until=at), at=at):
        wake(session, "send")
