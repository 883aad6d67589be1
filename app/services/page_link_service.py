"""What somebody can do with the link of a page: see one incident, and act on it as the person who was paged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, InvalidTransition, PermissionDenied
from app.core.security import PageLink
from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_timeline, crud_user
from app.crud.clock import now
from app.crud.pagination import Slice
from app.models import Incident, TimelineEvent, User
from app.services.incidents import incident_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest
from app.services.policies import manual_escalation_service
from app.services.ports import Paging

SNOOZES = {15: "15 min", 30: "30 min", 60: "1 hour", 240: "4 hours"}  # minutes
LATEST = Slice(limit=10)
BY_LINK = " by the link of a page"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: datetime
    description: str
    by: str | None


@dataclass(frozen=True, slots=True)
class PageView:
    """An incident as the page behind a link shows it, and what it offers. `person` is whose link it is.

    `is_escalated`: what somebody escalated by hand goes on; nobody has acknowledged or ended it since.
    """

    id: int
    title: str
    severity: str
    service: str
    status: str
    description: str | None
    created_at: datetime
    snoozed_until: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    timeline: tuple[Entry, ...]
    person: str | None
    can_acknowledge: bool
    can_snooze: bool
    can_escalate: bool
    is_escalated: bool


def view(session: Session, token: str, paging: Paging) -> PageView:
    """The incident of a link. Raises NotFound, LinkExpired, PermissionDenied."""
    link, person = _read(session, token, paging)
    incident = incident_service.get(session, link.incident_id)
    entries = crud_timeline.slice(session, incident.id, LATEST)
    acknowledgement = _acknowledgement(session, incident)
    names = _names(session, [*entries, *([acknowledgement] if acknowledgement else [])])
    return PageView(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service,
        status=incident.status,
        description=incident.description,
        created_at=incident.created_at,
        snoozed_until=incident.snoozed_until,
        acknowledged_at=incident.acknowledged_at,
        acknowledged_by=names.get(acknowledgement.user_id or 0) if acknowledgement else None,
        timeline=tuple(Entry(e.created_at, e.description, names.get(e.user_id or 0)) for e in entries),
        person=_name(person) if person else None,
        can_acknowledge=incident.status in (IncidentStatus.OPEN, IncidentStatus.SNOOZED),
        can_snooze=incident.status is not IncidentStatus.RESOLVED,
        can_escalate=incident.status is not IncidentStatus.RESOLVED,
        is_escalated=_is_escalated(incident),
    )


def acknowledge(session: Session, token: str, paging: Paging) -> None:
    """Somebody is on it. Raises InvalidTransition, and what `view` raises."""
    link, person = _read(session, token, paging)
    incident = incident_service.locked(session, link.incident_id)
    wanted = MoveRequest(Move.ACKNOWLEDGE, now(session))
    lifecycle_service.move(session, incident, wanted, by=person, because=BY_LINK)


def snooze(session: Session, token: str, paging: Paging, *, minutes: int) -> None:
    """Be quiet for one of `SNOOZES`. Raises InvalidInput, InvalidTransition, and what `view` raises."""
    link, person = _read(session, token, paging)
    if minutes not in SNOOZES:
        raise InvalidInput(f"Snooze for one of {', '.join(SNOOZES.values())}.", pointer="minutes")
    incident = incident_service.locked(session, link.incident_id)
    at = now(session)
    wanted = MoveRequest(Move.SNOOZE, at, snoozed_until=at + timedelta(minutes=minutes))
    lifecycle_service.move(session, incident, wanted, by=person, because=BY_LINK)


def escalate(session: Session, token: str, paging: Paging) -> None:
    """Page the next step now: whoever was paged may pass it on. Raises InvalidTransition, and what `view` raises."""
    link, person = _read(session, token, paging)
    incident = incident_service.locked(session, link.incident_id)
    if incident.status is IncidentStatus.RESOLVED:
        raise InvalidTransition("The incident is resolved: nobody is paged.")
    manual_escalation_service.escalate_locked(session, incident, paging, by=person, because=BY_LINK)


def _read(session: Session, token: str, paging: Paging) -> tuple[PageLink, User | None]:
    """What a link allows and to whom: the author of what is done with it. None: it is nobody's own."""
    link = paging.links.read(token, at=now(session))
    if link.user_id is None:
        return link, None
    people = crud_user.active(session, [link.user_id])
    if not people:
        raise PermissionDenied("The person whom this link was sent to is no longer active.")
    return link, people[0]


def _is_escalated(incident: Incident) -> bool:
    if incident.escalated_at is None or incident.status not in (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED):
        return False
    return incident.acknowledged_at is None or incident.acknowledged_at < incident.escalated_at


def _acknowledgement(session: Session, incident: Incident) -> TimelineEvent | None:
    if incident.acknowledged_at is None:
        return None
    return crud_timeline.latest(session, incident.id, {TimelineEventType.ACKNOWLEDGED})


def _names(session: Session, entries: Sequence[TimelineEvent]) -> Mapping[int, str]:
    ids = {entry.user_id for entry in entries if entry.user_id is not None}
    return {user.id: _name(user) for user in crud_user.present(session, sorted(ids))}


def _name(user: User) -> str:
    return user.full_name or user.email
