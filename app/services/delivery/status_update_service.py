"""Turns status updates into messages: one per person and channel, after their pages, if still true."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.facts import StatusUpdateFacts, StatusUpdatesFacts, UpdateFacts, read, stored
from app.core.page_links import PageLink
from app.core.vocabulary import IncidentStatus, NotificationKind, UpdateEvent
from app.crud import crud_incident, crud_outbox, crud_preference, crud_status_update, crud_user
from app.crud.clock import now
from app.models import Incident, Notification, NotificationPreference, StatusUpdate, User
from app.services.contacts import recipient_service
from app.services.contacts.quiet import Occasion
from app.services.messages import message_service
from app.services.messages.message import api_url, shortened
from app.services.notification import Person, update_address
from app.services.ports import Paging

log = structlog.get_logger()

# The statuses of the incident in which an update is still true.
TRUE_IN = {
    UpdateEvent.ACKNOWLEDGED: (IncidentStatus.ACKNOWLEDGED, IncidentStatus.SNOOZED),
    UpdateEvent.RESOLVED: (IncidentStatus.RESOLVED,),
}


def release(session: Session, channel: str, paging: Paging, *, limit: int) -> int:
    """Write the due messages of a channel, so that at most `limit` are under way.

    The limit leaves room for pages. Returns how many people get a message.
    """
    at = now(session)
    recipients = crud_status_update.recipients_due(session, channel, at=at, limit=limit)
    room = limit - crud_outbox.count_notices(session, channel, limit=limit) if recipients else 0
    updates = crud_status_update.lock_open(session, channel, recipients[:room]) if room > 0 else []
    if not updates:
        return 0
    messages = list(_messages(session, updates, paging, at=at))
    crud_outbox.add_all(session, messages)
    crud_status_update.end(session, [update.id for update in updates], at=at)
    log.info("status_updates_released", channel=channel, updates=len(updates), messages=len(messages))
    return len(messages)


def carries_updates(message: Notification) -> bool:
    """True if the message is a status update."""
    return message.kind is NotificationKind.NOTICE and ("said" in message.facts or "updates" in message.facts)


def rewrite(session: Session, message: Notification) -> bool:
    """Remove updates that are no longer true, for example after a reopening. False if none is left."""
    facts = read(message.kind, message.facts)
    updates = _updates(facts) if isinstance(facts, StatusUpdateFacts | StatusUpdatesFacts) else ()
    if not updates:
        return True
    incidents = crud_incident.by_ids(session, [update.incident.id for update in updates])
    left = [u for u in updates if _is_true(u.update, u.cycle, incidents.get(u.incident.id))]
    if left and len(left) != len(updates):
        _write(session, message, _together(left))
    return bool(left)


def _messages(
    session: Session, updates: Sequence[StatusUpdate], paging: Paging, *, at: datetime
) -> Iterator[Notification]:
    incidents = crud_incident.by_ids(session, [update.incident_id for update in updates])
    follow_a_page = crud_status_update.that_follow_a_page(session, [update.id for update in updates])
    contacts = _Contacts(session, updates, paging, at)
    for group in _by_person(update for update in updates if update.id in follow_a_page):
        said, address, traceparent = [], "", None
        for update in group:
            incident = incidents.get(update.incident_id)
            wanted_at = contacts.address(update, incident) if incident is not None else None
            if incident is not None and wanted_at is not None and _is_true(update.event, update.cycle, incident):
                said.append(_facts(update, incident, paging, at=at))
                address, traceparent = wanted_at, incident.traceparent
        if said:
            message = _message(session, group[0], address, _together(said), at=at)
            message.traceparent = traceparent
            yield message


def _by_person(updates: Iterable[StatusUpdate]) -> Iterator[list[StatusUpdate]]:
    groups: dict[str, list[StatusUpdate]] = defaultdict(list)
    for update in updates:
        groups[update.recipient].append(update)
    return iter(groups.values())


class _Contacts:
    """The channel choices of the people of some updates, loaded together."""

    def __init__(self, session: Session, updates: Sequence[StatusUpdate], paging: Paging, at: datetime) -> None:
        ids = sorted({update.user_id for update in updates if update.user_id is not None})
        self._users: Mapping[int, User] = {user.id: user for user in crud_user.active(session, ids)}
        self._paging, self._at = paging, at
        self._preferences: dict[int, dict[str, NotificationPreference]] = defaultdict(dict)
        for preference in crud_preference.of_users(session, ids):
            self._preferences[preference.user_id][preference.channel] = preference

    def address(self, update: StatusUpdate, incident: Incident) -> str | None:
        """The address for the update. None if its reader does not want it there now, or is no longer active."""
        if update.user_id is None:
            return update.address
        user = self._users.get(update.user_id)
        if user is None:
            return None
        occasion = Occasion(incident.severity, self._at)
        choices = recipient_service.choices_of(user, self._preferences[user.id], self._paging, occasion)
        return update_address(Person(update.recipient, user.id, choices), update.channel, self._paging.channels)


def _is_true(event: UpdateEvent, cycle: int, incident: Incident | None) -> bool:
    """False after a reopening; for an acknowledgement, also after a resolution, which has its own update."""
    return incident is not None and incident.cycle == cycle and incident.status in TRUE_IN[event]


def _facts(update: StatusUpdate, incident: Incident, paging: Paging, *, at: datetime) -> StatusUpdateFacts:
    facts = shortened(message_service.facts_of(incident))
    link = paging.links.url(PageLink(incident.id, update.user_id), at=at)
    return StatusUpdateFacts(update.event, facts, update.cycle, update.said, api_url(facts, paging.public_url), link)


def _together(updates: Sequence[StatusUpdateFacts]) -> UpdateFacts:
    return updates[0] if len(updates) == 1 else StatusUpdatesFacts(tuple(updates))


def _updates(facts: UpdateFacts) -> tuple[StatusUpdateFacts, ...]:
    return facts.updates if isinstance(facts, StatusUpdatesFacts) else (facts,)


def _message(session: Session, update: StatusUpdate, address: str, facts: UpdateFacts, *, at: datetime) -> Notification:
    """The message to the reader of an update. It is exempt: it is not cancelled because the incident is not open."""
    said = message_service.composer(session).compose(update.channel, facts)
    return Notification(
        incident_id=facts.incident.id if isinstance(facts, StatusUpdateFacts) else None,
        user_id=update.user_id,
        recipient=update.recipient,
        channel=update.channel,
        address=address,
        kind=NotificationKind.NOTICE,
        is_exempt=True,
        subject=said.subject,
        body=said.body,
        html=said.html,
        facts=stored(facts),
        next_attempt_at=at,
        created_at=at,
    )


def _write(session: Session, message: Notification, facts: UpdateFacts) -> None:
    """Replace the facts of the message, here and in the outbox."""
    said = message_service.composer(session).compose(message.channel, facts)
    message.subject, message.body, message.html, message.facts = said.subject, said.body, said.html, stored(facts)
    values = {"subject": said.subject, "body": said.body, "html": said.html, "facts": message.facts}
    crud_outbox.write(session, [message.id], values)
