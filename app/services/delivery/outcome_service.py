"""Records the outcome of an attempt: for its message, the pages in a bundle, and the timelines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.channel import Outcome, without_answer
from app.core.vocabulary import DeliveryStatus, NotificationKind
from app.crud import crud_outbox, crud_user
from app.models import Notification
from app.services.delivery.record_of_pages import Entry, Fate, TimelinePage, entries
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all, apply_each_leased
from app.services.notification import named_by
from app.services.policies.actions.webhook import tell_webhook_answer

Names = Mapping[int, str]  # user names, by id


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended: its message, the event that follows from the outcome, and the outcome."""

    message: Notification
    event: Event
    outcome: Outcome


def end_attempts(session: Session, ended: Sequence[Ended], *, at: datetime, names: Names) -> dict[int, list[Entry]]:
    """Write the outcomes of attempts. Returns the timeline entries of each message, which the caller adds together.

    Of a message whose lease was lost nothing is written, and it is not in the answer.
    """
    statuses = apply_each_leased(session, [(one.message, one.event) for one in ended], at=at)
    return {
        one.message.id: _entries(session, one, statuses[one.message.id], at=at, names=names)
        for one in ended
        if one.message.id in statuses
    }


def _entries(session: Session, ended: Ended, status: DeliveryStatus, *, at: datetime, names: Names) -> list[Entry]:
    message, event, outcome = ended.message, ended.event, ended.outcome
    if status is DeliveryStatus.DELIVERED and event.type is not EventType.ACCEPTED:
        return []  # whatever our call returned: it arrived, and the timeline already says so
    if event.type is EventType.FAILED:
        return []
    if message.kind is NotificationKind.WEBHOOK_ACTION:
        tell_webhook_answer(session, message, outcome, at=at)
    pages, together = [message], None
    if message.kind is NotificationKind.BUNDLE:
        pages = list(crud_outbox.bundled_in(session, message.id))
        apply_all(session, pages, replace(event, provider_id=None, first_attempt_at=None), at=at)
        together = len(pages)
    fate = Fate.SENT if event.type is EventType.ACCEPTED else Fate.NOT_SENT
    said = without_answer(outcome.error)
    return entries(on_timelines(pages, names), fate, at=at, error=said, together=together)


def recipients(session: Session, messages: Iterable[Notification]) -> Names:
    """The names of the messages' recipients, in one statement."""
    ids = {message.user_id for message in messages if message.user_id is not None}
    return crud_user.names(session, ids) if ids else {}


def on_timelines(messages: Iterable[Notification], names: Names) -> list[TimelinePage]:
    """The messages that are pages of an incident: their outcomes go into its timeline."""
    return [
        TimelinePage(
            message.id,
            message.incident_id,
            names.get(message.user_id or 0) or named_by(message.recipient),
            message.channel,
        )
        for message in messages
        if message.incident_id is not None and message.kind.is_page
    ]
