"""Reads of the outbox, for people and for decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, selectinload

from app.core.vocabulary import DeliveryStatus, NotificationKind
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, as_json, sliced
from app.models import Notification, NotificationAttempt

WITH_ATTEMPTS = (
    selectinload(Notification.attempts),
    selectinload(Notification.bundle).selectinload(Notification.attempts),
)
ATTEMPT_BYTES = 200  # as JSON, beside its error
ATTEMPTS = (
    select(func.sum(as_json(NotificationAttempt.error) + ATTEMPT_BYTES, type_=Integer()))
    .where(NotificationAttempt.notification_id.in_([Notification.id, Notification.bundle_id]))
    .correlate(Notification)
    .scalar_subquery()
)
# What is loaded, though most of it is not shown.
WIDE = (
    ATTEMPTS,
    Notification.address,
    Notification.subject,
    Notification.body,
    Notification.html,
    Notification.last_error,
    Notification.facts,
)
VISIBLE_TO = "visible_to"  # the parameter for whose deliveries are listed
PAGES = [kind for kind in NotificationKind if kind.is_page]
REACHED = [status for status in DeliveryStatus if status.has_reached]
MAX_NOTED = 20  # pages whose notes are looked at
FALLBACK_LATE = timedelta(seconds=90)  # every fallback that was not postponed is due before that, or in the past
IS_PAGE = Notification.kind.in_([kind for kind in NotificationKind if kind.is_page])
WAITING = Notification.status.in_([DeliveryStatus.PENDING, DeliveryStatus.RETRY])


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """What to list. Values of one field are alternatives, fields must all hold."""

    incident_id: Sequence[int] = ()
    channel: Sequence[str] = ()
    status: Sequence[DeliveryStatus] = ()

    def given(self) -> dict[str, Any]:
        """The fields that narrow the list, as parameters of the statement."""
        fields = {"incident_id": self.incident_id, "channel": self.channel, "status": self.status}
        return {name: values for name, values in fields.items() if values}


def _condition(name: str) -> ColumnElement[bool]:
    """What a parameter of the list demands."""
    if name == VISIBLE_TO:
        return Notification.user_id == bindparam(name)
    column: InstrumentedAttribute[Any] = getattr(Notification, name)
    return column.in_(bindparam(name, expanding=True))


@cache
def _listing(names: tuple[str, ...]) -> Select[Any]:
    """The statement for lists with these parameters: of three filters and one limit, each given or not."""
    query = select(Notification).where(*map(_condition, names))
    return sliced(query, Notification.id, *WIDE, newest_first=True).options(*WITH_ATTEMPTS)


class CRUDNotification(CRUDBase[Notification]):
    def slice(
        self, session: Session, wanted: NotificationFilter, part: Slice, *, visible_to: int | None
    ) -> Page[Notification]:
        """Deliveries, newest first; of everybody if `visible_to` is None."""
        given = wanted.given() | ({VISIBLE_TO: visible_to} if visible_to is not None else {})
        return part.read_objects(session, _listing(tuple(given)), **given)

    def with_attempts(self, session: Session, id_: int) -> Notification:
        query = select(Notification).where(Notification.id == id_).options(*WITH_ATTEMPTS)
        return session.scalars(query).one()

    def of_incident_cycle(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Every page of an incident's cycle."""
        return session.scalars(
            select(Notification).where(Notification.incident_id == incident_id, Notification.cycle == cycle, IS_PAGE)
        ).all()

    def of_incident_cycle_with_bundles(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Every page of an incident's cycle, with the message that carries it together with others."""
        query = select(Notification).where(
            Notification.incident_id == incident_id, Notification.cycle == cycle, IS_PAGE
        )
        return session.scalars(query.options(selectinload(Notification.bundle))).all()

    def has_accepted_page(self, session: Session, incident_id: int, cycle: int) -> bool:
        """True if a provider has taken a page of an incident's cycle."""
        query = select(Notification.id).where(
            Notification.incident_id == incident_id,
            Notification.cycle == cycle,
            Notification.kind.in_(PAGES),
            Notification.status.in_(REACHED),
        )
        return session.scalar(query.limit(1)) is not None

    def notes_to(self, session: Session, incident_id: int, user_id: int | None) -> Sequence[str]:
        """The messages of policies in a person's newest pages about an incident, newest first, each once.

        Without a person: in pages to addresses without an account.
        """
        note = Notification.facts["note"].astext
        newest = (
            select(note)
            .where(Notification.incident_id == incident_id, note.is_not(None))
            .where(Notification.user_id.is_not_distinct_from(user_id))
            .order_by(Notification.id.desc())
            .limit(MAX_NOTED)
        )
        return list(dict.fromkeys(session.scalars(newest)))

    def of_event(self, session: Session, event_id: int) -> Sequence[Notification]:
        """What a step sent, in whatever cycle its pages fell back."""
        return session.scalars(select(Notification).where(Notification.event_id == event_id)).all()

    def without_event(self, session: Session, incident_id: int | None, *, since: datetime) -> Sequence[Notification]:
        """The pages about an incident that no step sent, since a time."""
        own = Notification.event_id.is_(None) & (Notification.incident_id == incident_id) & IS_PAGE
        return session.scalars(select(Notification).where(own, Notification.created_at >= since)).all()

    def has_postponed_fallback(self, session: Session, *, at: datetime) -> bool:
        """True if the fallback of a page failed and will be retried."""
        is_late = Notification.fallback_at > Notification.created_at + FALLBACK_LATE
        query = select(Notification.id).where(Notification.fallback_at > at, is_late)
        return session.scalar(query.limit(1)) is not None

    def has_stuck(self, session: Session, *, before: datetime) -> bool:
        """True if a message was due before a time, or its lease ended then, and nobody has taken it."""
        is_late = WAITING & (Notification.next_attempt_at < before)  # even while it is throttled
        is_lost = (Notification.status == DeliveryStatus.SENDING) & (Notification.lease_until < before)
        return any(session.scalar(select(Notification.id).where(which).limit(1)) for which in (is_late, is_lost))


crud_notification = CRUDNotification(Notification)
crud_attempt = CRUDBase(NotificationAttempt)
