"""Reads an incident for the page behind a link."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus, TimelineEventType
from app.crud import crud_comment, crud_escalation, crud_notification, crud_timeline, crud_user
from app.crud.pagination import Slice
from app.models import Escalation, Incident, TimelineEvent, User
from app.services.incidents import incident_service
from app.services.page_view.alert_fields import alert_fields
from app.services.page_view.page_view import Acknowledgement, Advice, Alerts, Entry, Offers, PageView, Runbook

LATEST = Slice(limit=10)
MAX_NOTES = 3


def view(session: Session, incident_id: int, person: User | None) -> PageView:
    """The incident as the link's owner sees it. Raises NotFound."""
    incident = incident_service.get(session, incident_id)
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
        resolved_at=incident.resolved_at,
        acknowledgement=_acknowledged(incident, acknowledgement, names),
        advice=_advice(session, incident, person),
        alerts=Alerts(incident.alert_count, incident.last_alert_at, alert_fields(incident.metadata_)),
        timeline=_timeline(session, entries, names),
        person=person.display_name if person else None,
        can=_offers(incident, person, acknowledgement),
        is_escalated=_is_escalated(incident, acknowledgement),
    )


def _advice(session: Session, incident: Incident, person: User | None) -> Advice:
    notes = crud_notification.notes_to(session, incident.id, person.id if person else None)
    escalations = crud_escalation.of_incident(session, incident.id)
    return Advice(tuple(notes[:MAX_NOTES]), _runbooks(escalations))


def _runbooks(escalations: Sequence[Escalation]) -> tuple[Runbook, ...]:
    """The runbooks of the policies that have started on the incident, without duplicates."""
    found: dict[str, Runbook] = {}
    for escalation in escalations:
        policy = escalation.version.policy
        if policy.runbook_url and escalation.state is not EscalationState.ENDED:
            found.setdefault(policy.runbook_url, Runbook(policy.name, policy.runbook_url))
    return tuple(found.values())


def _timeline(session: Session, entries: Sequence[Row[Any]], names: Mapping[int, str]) -> tuple[Entry, ...]:
    wanted = [entry.metadata_["comment_id"] for entry in entries if "comment_id" in entry.metadata_]
    comments = {comment.id: comment.content for comment in crud_comment.by_ids(session, wanted)} if wanted else {}
    return tuple(
        Entry(
            entry.created_at,
            entry.description,
            names.get(entry.user_id or 0),
            comments.get(entry.metadata_.get("comment_id", 0)),
        )
        for entry in entries
    )


def _offers(incident: Incident, person: User | None, acknowledgement: TimelineEvent | None) -> Offers:
    is_unresolved = incident.status is not IncidentStatus.RESOLVED
    return Offers(
        acknowledge=_can_acknowledge(incident, acknowledgement),
        snooze=is_unresolved,
        escalate=is_unresolved,
        resolve=is_unresolved,
        comment=person is not None,
    )


def _can_acknowledge(incident: Incident, acknowledgement: TimelineEvent | None) -> bool:
    """True also if it was escalated manually after an acknowledgement: acknowledging again stops those pages."""
    if incident.status is IncidentStatus.ACKNOWLEDGED:
        return _is_escalated(incident, acknowledgement)
    return incident.status is not IncidentStatus.RESOLVED


def _is_escalated(incident: Incident, acknowledgement: TimelineEvent | None) -> bool:
    """True if it was escalated manually and nobody has acknowledged it since."""
    if incident.escalated_at is None or incident.status not in (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED):
        return False
    return acknowledgement is None or acknowledgement.created_at < incident.escalated_at


def _acknowledged(incident: Incident, entry: TimelineEvent | None, names: Mapping[int, str]) -> Acknowledgement | None:
    at = entry.created_at if entry else incident.acknowledged_at
    return Acknowledgement(at, names.get(entry.user_id or 0) if entry else None) if at else None


def _acknowledgement(session: Session, incident: Incident) -> TimelineEvent | None:
    if incident.acknowledged_at is None:
        return None
    return crud_timeline.latest(session, incident.id, {TimelineEventType.ACKNOWLEDGED})


def _names(session: Session, entries: Sequence[TimelineEvent | Row[Any]]) -> Mapping[int, str]:
    """The names of the people in the timeline, including those who have left."""
    ids = {entry.user_id for entry in entries if entry.user_id is not None}
    return {user.id: user.display_name for user in crud_user.by_ids(session, sorted(ids))}
