"""Takes providers' reports about messages they accepted, in any order and any number of times."""

from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.crud import crud_outbox, crud_timeline
from app.crud.clock import now
from app.crud.wakeup import wake
from app.services.contacts import verification_service
from app.services.delivery import outcome_service
from app.services.delivery.record_of_pages import Fate, entries
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all
from app.services.ports import Paging

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A provider's report about one message: delivered or failed for good. `has_arrived` None: still under way.

    `is_address_gone`: the provider says that no message to this address will ever arrive.
    """

    key: UUID
    has_arrived: bool | None
    provider_id: str | None = None
    error: str | None = None
    is_address_gone: bool = False


def take(session: Session, report: DeliveryReport, paging: Paging) -> None:
    """Record the first final report about a message. Later ones change nothing. Raises NotFound.

    A message that failed is dead, so the person's next channel is tried at once. The pages in a bundle end with it.
    """
    message = crud_outbox.lock_by_key(session, report.key)
    if message is None:
        raise NotFound("No message has this idempotency key.")
    if report.has_arrived is None:
        return
    at = now(session)
    happened = EventType.REPORTED_DELIVERED if report.has_arrived else EventType.REPORTED_LOST
    event = Event(happened, error=report.error, provider_id=report.provider_id)
    if not apply_all(session, [message], event, at=at):
        return
    named = apply_all(session, crud_outbox.named_in(session, message.id), replace(event, provider_id=None), at=at)
    fate = Fate.DELIVERED if report.has_arrived else Fate.NOT_DELIVERED
    pages = outcome_service.on_timelines([message, *named], outcome_service.recipients(session, [message, *named]))
    crud_timeline.insert_all(session, entries(pages, fate, at=at, error=report.error))
    if report.is_address_gone:
        verification_service.disable_gone(session, message, paging, at=at)
    if not report.has_arrived:
        wake(session, "plan")
    log.info("delivery_reported", notification_id=message.id, channel=message.channel, arrived=report.has_arrived)
