"""Writes messages into the outbox, in the transaction that causes them. Nothing is sent here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy.orm import Session

from app.core import origin
from app.core.channel import EMAIL, WEBHOOK
from app.core.facts import OwnFacts, PageFacts, PasswordResetFacts, stored
from app.core.page_links import PageLink
from app.core.vocabulary import IncidentStatus, NotificationKind
from app.crud import crud_outbox
from app.crud.crud_lease import DeliverySnapshot
from app.models import Incident, Notification, User
from app.services.messages import message_service
from app.services.messages.message import Message, page_facts
from app.services.messages.message_service import Composer
from app.services.notification import FALL_BACK_AFTER, Page, Person, Skip, route
from app.services.ports import Paging


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """A page, its text, and the facts in it."""

    page: Page
    message: Message
    facts: PageFacts


Written = dict[tuple[str, str], PlannedPage]  # by the person's key and the channel


@dataclass(frozen=True, slots=True)
class Plan:
    """The pages of a step, and whom it skipped by which channel."""

    pages: tuple[PlannedPage, ...] = ()
    skips: tuple[Skip, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        known = {(planned.page.person.key, planned.page.channel) for planned in self.pages}
        new = [p for p in other.pages if (p.page.person.key, p.page.channel) not in known]
        return Plan((*self.pages, *new), (*self.skips, *other.skips))


@dataclass(frozen=True, slots=True)
class Call:
    """A URL that a step calls, and the JSON to post."""

    url: str
    body: str


@dataclass(frozen=True, slots=True)
class PageContext:
    """The incident that people are paged about, with the current time and this installation's settings."""

    incident: Incident
    paging: Paging
    at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """Why pages are sent. Exempt pages are not throttled."""

    event_id: int | None
    kind: NotificationKind = NotificationKind.PAGE
    is_exempt: bool = False
    fallback_of: int | None = None


def plan(
    session: Session,
    context: PageContext,
    people: Sequence[Person],
    *,
    named: Sequence[str] | None,
    note: str | None,
    before: Written | None = None,
) -> Plan:
    """Decide by which channel each person is paged, and write the message.

    A page in `before` for the same person and channel is reused; new pages are added to it.
    """
    routes = [route(person, named, context.paging.channels) for person in people]
    pages = [page for found in routes for page in found.pages]
    skips = tuple(skip for found in routes for skip in found.skips)
    known: Written = {} if before is None else before
    new = [page for page in pages if (page.person.key, page.channel) not in known]
    for item in written(session, context, new, note=note).pages:
        known[item.page.person.key, item.page.channel] = item
    return Plan(tuple(known[page.person.key, page.channel] for page in pages), skips)


def written(session: Session, context: PageContext, pages: Sequence[Page], *, note: str | None) -> Plan:
    """The pages with their texts, each with its person's own link."""
    composer = message_service.composer(session)
    return Plan(tuple(_written(context, page, composer, note=note) for page in pages))


def _written(context: PageContext, page: Page, composer: Composer, *, note: str | None) -> PlannedPage:
    incident, paging = context.incident, context.paging
    link = paging.links.url(PageLink(incident.id, page.person.user_id), at=context.at)
    facts = page_facts(message_service.facts_of(incident), note=note, url=paging.public_url, link=link)
    return PlannedPage(page, composer.compose(page.channel, facts), facts)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The pages of one plan, what they are about, and why they are sent."""

    context: PageContext
    planned: Plan
    origin: Origin


def enqueue(session: Session, context: PageContext, planned: Plan, origin: Origin) -> None:
    """Add the pages to the outbox. One joins an unsent page of this cycle to the same person and channel.

    They are throttled, unless they are exempt.
    """
    enqueue_each(session, [Outgoing(context, planned, origin)])


def enqueue_each(session: Session, outgoing: Sequence[Outgoing]) -> None:
    """As `enqueue`, for plans about different incidents, with one statement."""
    with_pages = [one for one in outgoing if one.planned.pages]
    if not with_pages:
        return
    unsent = crud_outbox.unsent_of(session, [one.context.incident.id for one in with_pages])
    rows = [
        _row(one, item)
        for one in with_pages
        for item in one.planned.pages
        if one.origin.is_exempt or (*_of_cycle(one), item.page.person.key, item.page.channel) not in unsent
    ]
    crud_outbox.insert_pages(session, rows)


def _of_cycle(outgoing: Outgoing) -> tuple[int, int]:
    return outgoing.context.incident.id, outgoing.context.incident.cycle


def _row(outgoing: Outgoing, item: PlannedPage) -> dict[str, Any]:
    incident, at, origin = outgoing.context.incident, outgoing.context.at, outgoing.origin
    return {
        "event_id": origin.event_id,
        "incident_id": incident.id,
        "cycle": incident.cycle,
        "kind": origin.kind,
        "is_exempt": origin.is_exempt,
        "is_throttled": not origin.is_exempt,
        "fallback_of": origin.fallback_of,
        "fallback_at": at + FALL_BACK_AFTER,
        "next_attempt_at": at,
        "created_at": at,
        "traceparent": _trace_of(incident),
        **_content(item),
    }


def _trace_of(incident: Incident) -> str | None:
    """The trace of a page: of the request that causes it by hand, or else of the one that opened the incident."""
    return origin.current().traceparent or incident.traceparent


def is_wanted(message: Notification, standing: Incident | DeliverySnapshot) -> bool:
    """False for a page whose incident is no longer open in the page's cycle.

    A page of a manual escalation is exempt, until its reader acknowledges.
    """
    is_exempt = standing.is_exempt if isinstance(standing, DeliverySnapshot) else message.is_exempt
    if is_exempt or message.incident_id is None:
        return True
    return standing.status is IncidentStatus.OPEN and standing.cycle == message.cycle


def _content(planned: PlannedPage) -> dict[str, Any]:
    """The recipient and the text of a message."""
    return {
        "user_id": planned.page.person.user_id,
        "recipient": planned.page.person.key,
        "channel": planned.page.channel,
        "address": planned.page.address,
        "subject": planned.message.subject,
        "body": planned.message.body,
        "html": planned.message.html,
        "facts": stored(planned.facts),
    }


def enqueue_calls(
    session: Session, incident: Incident, calls: Sequence[Call], *, at: datetime, event_id: int, policy_id: int
) -> None:
    """Add a step's webhook call to the outbox. It belongs to no cycle, because it is not a page."""
    messages = [
        Notification(
            event_id=event_id,
            incident_id=incident.id,
            recipient=f"policy:{policy_id}:{sha256(f'{call.url} {call.body}'.encode()).hexdigest()[:16]}",
            channel=WEBHOOK,
            address=call.url,
            kind=NotificationKind.WEBHOOK_ACTION,
            is_exempt=True,
            subject="",
            body=call.body,
            next_attempt_at=at,
            created_at=at,
            traceparent=_trace_of(incident),
        )
        for call in dict.fromkeys(calls)
    ]
    crud_outbox.add_all(session, messages)


def enqueue_password_reset(session: Session, user: User, token: str, *, at: datetime, url: str, minutes: int) -> None:
    """Mail a reset token. Its text is erased from the outbox once the mail is accepted or dead."""
    facts = PasswordResetFacts(token, url, minutes)
    enqueue_own(session, user, facts, channel=EMAIL, address=user.email, at=at)


def enqueue_own(
    session: Session, user: User, facts: OwnFacts, *, channel: str, address: str, at: datetime
) -> Notification:
    """Add a message to a person about their own account. It has no incident, so nothing cancels it."""
    message = message_service.composer(session).compose(channel, facts)
    row = Notification(
        user_id=user.id,
        recipient=f"user:{user.id}",
        channel=channel,
        address=address,
        kind=NotificationKind(facts.event),
        is_exempt=True,
        subject=message.subject,
        body=message.body,
        html=message.html,
        facts=stored(facts),
        next_attempt_at=at,
        created_at=at,
        traceparent=origin.current().traceparent,
    )
    crud_outbox.add_all(session, [row])
    return row


def summary(planned: Plan) -> dict[str, Any]:
    """Who is paged and who is skipped by which channel, as JSON for an event's metadata."""
    return {
        "notified": [
            {"recipient": p.page.person.key, "recipient_name": p.page.person.name, "channel": p.page.channel}
            for p in planned.pages
        ],
        "skipped": [
            {
                "recipient": skip.person.key,
                "recipient_name": skip.person.name,
                "channel": skip.channel,
                "reason": skip.reason,
            }
            for skip in planned.skips
        ],
    }
