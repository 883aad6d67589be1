"""Applies the alerts that do more than repeat: they recover, report a worse severity, or open an incident once more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.errors import Conflict
from app.core.source import AlertSignal
from app.core.vocabulary import AlertStatus, IncidentStatus, Severity, TimelineEventType
from app.crud import crud_incident
from app.crud.crud_status_update import StatusChange
from app.models import Incident
from app.services import escalation_service
from app.services.incidents import incident_service, lifecycle_service, status_update_service
from app.services.incidents.alert_repeat_service import Done, sentence
from app.services.incidents.incident import Move, MoveRequest
from app.services.incidents.lifecycle_service import Moving
from app.services.incidents.opening import incident_of_alert
from app.services.timeline_service import record

# An alert may be resolved by another transaction between our insert and our look; it does not happen forever.
MAX_ROUNDS = 10

OVERTAKEN = "The alert changes faster than it can be applied. Send it again."


@dataclass(frozen=True, slots=True)
class Changes:
    """Alerts that are applied one after the other.

    `unresolved` has the incident of each key that has one, locked; `changed` has those whose metadata changed;
    `to_tell` has what the people who were paged will hear.
    """

    session: Session
    at: datetime
    default_severity: Severity
    unresolved: dict[str, Incident]
    changed: dict[int, Incident] = field(default_factory=dict)
    to_tell: list[StatusChange] = field(default_factory=list)

    def incident_of(self, signal: AlertSignal) -> Incident | None:
        incident = self.unresolved.get(signal.dedup_key) if signal.dedup_key else None
        return None if incident is None or incident.status is IncidentStatus.RESOLVED else incident


def apply(changes: Changes, signals: Sequence[AlertSignal]) -> list[Done]:
    """Apply alerts in their order. Raises Conflict if others are faster again and again."""
    done = [_fire(changes, signal) if signal.is_firing else _recover(changes, signal) for signal in signals]
    changes.session.flush()
    status_update_service.add(changes.session, changes.to_tell, at=changes.at)
    escalation_service.begin_on_open(changes.session, list(changes.changed.values()), at=changes.at)
    return done


def _recover(changes: Changes, signal: AlertSignal) -> Done:
    incident = changes.incident_of(signal)
    if incident is None:
        return AlertStatus.NO_MATCHING_ACTIVE_INCIDENT, None
    wanted = MoveRequest(Move.RESOLVE, changes.at)
    moving = Moving(incident, wanted, because=" because its alert recovered")
    change = lifecycle_service.move_untold(changes.session, moving)
    if change is not None:
        changes.to_tell.append(change)
    return AlertStatus.INCIDENT_RESOLVED, incident.id


def _fire(changes: Changes, signal: AlertSignal) -> Done:
    """Count it for the incident that there is, or open one."""
    for _ in range(MAX_ROUNDS):
        incident = changes.incident_of(signal)
        if incident is not None:
            _repeat(changes, incident, signal)
            return AlertStatus.INCIDENT_UPDATED, incident.id
        if (opened := _open(changes, signal)) is not None:
            return AlertStatus.INCIDENT_CREATED, opened
    raise Conflict(OVERTAKEN)


def _open(changes: Changes, signal: AlertSignal) -> int | None:
    """Open an incident. None if another transaction was faster. Whichever it is, it is known from now on."""
    new = incident_of_alert(signal, default_severity=changes.default_severity)
    changes.session.flush()
    [opened] = incident_service.open_many(changes.session, [new], at=changes.at)
    keys = [signal.dedup_key] if signal.dedup_key else []
    changes.unresolved.update(crud_incident.lock_unresolved(changes.session, signal.source, keys))
    return opened.id if opened else None


def _repeat(changes: Changes, incident: Incident, signal: AlertSignal) -> None:
    """Count it and keep what it says now. A description that a person wrote stays."""
    if incident.metadata_ != signal.metadata:
        changes.changed[incident.id] = incident
    incident.metadata_ = signal.metadata
    if signal.description is not None and not incident.is_description_edited:
        incident.description = signal.description
    incident.alert_count += 1
    incident.last_alert_at = incident.updated_at = changes.at
    count, happened = incident.alert_count, TimelineEventType.ALERT_REPEATED
    record(changes.session, incident.id, happened, sentence(count), at=changes.at, alert_count=count)
    if signal.severity is not None:
        _worsen(changes, incident, Severity(signal.severity))


def _worsen(changes: Changes, incident: Incident, reported: Severity) -> None:
    """Only an alert that is worse than it ever was raises the severity: a person may have lowered it since."""
    if incident.alert_severity is None or reported.outranks(Severity(incident.alert_severity)):
        incident.alert_severity = reported
        lifecycle_service.raise_severity(changes.session, incident, reported, at=changes.at)
