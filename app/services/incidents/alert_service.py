"""Turns alerts into incidents: opens, updates, resolves. One alert is a batch of one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.errors import Conflict
from app.core.source import AlertSignal
from app.core.vocabulary import AlertStatus, IncidentStatus, Severity, TimelineEventType
from app.crud import crud_incident
from app.crud.clock import now
from app.crud.crud_incident import NewIncident
from app.crud.crud_status_update import StatusChange
from app.models import Incident
from app.schemas.alert import AlertAnswer, AlertResult
from app.services import escalation_service
from app.services.incidents import incident_service, lifecycle_service, status_update_service
from app.services.incidents.incident import Move, MoveRequest
from app.services.timeline_service import record

log = structlog.get_logger()

# An alert may be resolved by another transaction between our insert and our look; it does not happen forever.
MAX_ROUNDS = 10
MAX_ALERTS = 2_000  # some seconds, in which other batches wait


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts of one source that are applied together, and what is known of their incidents meanwhile.

    `unresolved` has the incident of each key that had one, locked; `changed` has those whose metadata changed;
    `to_tell` has what those who were paged will hear.
    """

    session: Session
    source: str
    at: datetime
    default_severity: Severity
    unresolved: dict[str, Incident]
    changed: dict[int, Incident] = field(default_factory=dict)
    to_tell: list[StatusChange] = field(default_factory=list)

    def incident_of(self, signal: AlertSignal) -> Incident | None:
        incident = self.unresolved.get(signal.dedup_key) if signal.dedup_key else None
        return None if incident is None or incident.status is IncidentStatus.RESOLVED else incident

    def new_incident(self, signal: AlertSignal) -> NewIncident:
        severity = Severity(signal.severity or self.default_severity)
        return NewIncident(
            title=signal.title,
            description=signal.description,
            severity=severity,
            service=signal.service,
            metadata=signal.metadata,
            source=signal.source,
            alert_id=signal.dedup_key,
            alert_severity=severity,
        )


def ingest(session: Session, signals: Sequence[AlertSignal], *, default_severity: Severity) -> list[AlertResult]:
    """Apply alerts in their order; the result has one entry for each.

    The database decides who opens the incident of a key (a partial unique index), so that concurrent posts of one
    alert open one. All signals of a batch have one source.
    """
    if not signals:
        return []
    batch = _locked_batch(session, signals, default_severity)
    opened = _open_new(batch, signals)
    results = []
    for position, signal in enumerate(signals):
        new = opened.get(position)
        result = _apply(batch, signal) if new is None else _result(AlertStatus.INCIDENT_CREATED, new)
        results.append(_told_of_unreadable(result, signal))
    session.flush()
    status_update_service.add(session, batch.to_tell, at=batch.at)
    escalation_service.begin_on_open(session, list(batch.changed.values()), at=batch.at)
    return results


def _locked_batch(session: Session, signals: Sequence[AlertSignal], default_severity: Severity) -> Batch:
    """The batch, with the unresolved incidents of its keys locked."""
    source = signals[0].source
    keys = {signal.dedup_key for signal in signals if signal.dedup_key}
    keys |= {signal.former_key.key for signal in signals if signal.former_key}
    at = now(session)
    if len(keys) > 1:
        crud_incident.one_batch_at_a_time(session)
    unresolved = crud_incident.lock_unresolved(session, source, sorted(keys))
    return Batch(session, source, at, default_severity, unresolved | _under_former_keys(signals, unresolved))


def _under_former_keys(signals: Sequence[AlertSignal], unresolved: dict[str, Incident]) -> dict[str, Incident]:
    """The incidents that an earlier version opened under another key, by the key of today."""
    found = {}
    for signal in signals:
        former = signal.former_key
        incident = unresolved.get(former.key) if former else None
        if former and incident and signal.dedup_key not in unresolved and former.is_of(incident.metadata_):
            found[signal.dedup_key or ""] = incident
    return found


def _open_new(batch: Batch, signals: Sequence[AlertSignal]) -> dict[int, Incident]:
    """Open with one statement what is clear from the start. The incidents, by their signal's position."""
    opening = _first_of_their_key(signals, batch.unresolved)
    incidents = _open_many(batch, list(opening.values()))
    return {position: incident for position, incident in zip(opening, incidents, strict=True) if incident is not None}


def _first_of_their_key(signals: Sequence[AlertSignal], known: Collection[str]) -> dict[int, AlertSignal]:
    """The firing signals, by position, that have no key or are the first of a key that has no incident yet."""
    seen: set[str | None] = set(known)
    first = {}
    for position, signal in enumerate(signals):
        is_first = signal.dedup_key is None or signal.dedup_key not in seen
        seen.add(signal.dedup_key)
        if is_first and signal.is_firing:
            first[position] = signal
    return first


def _open_many(batch: Batch, signals: Sequence[AlertSignal]) -> list[Incident | None]:
    """Open an incident for each. None stands for one that another transaction was faster with, which is then known."""
    if not signals:
        return []
    new = [batch.new_incident(signal) for signal in signals]
    incidents = incident_service.open_many(batch.session, new, at=batch.at)
    lost = [s.dedup_key for s, incident in zip(signals, incidents, strict=True) if incident is None and s.dedup_key]
    batch.unresolved.update(crud_incident.lock_unresolved(batch.session, batch.source, lost))
    batch.unresolved.update({i.alert_id: i for i in incidents if i is not None and i.alert_id is not None})
    return incidents


def _apply(batch: Batch, signal: AlertSignal) -> AlertResult:
    """What a signal does that did not open an incident with the batch."""
    return _fire(batch, signal) if signal.is_firing else _recover(batch, signal)


def _recover(batch: Batch, signal: AlertSignal) -> AlertResult:
    incident = batch.incident_of(signal)
    if incident is None:
        return _result(AlertStatus.NO_MATCHING_ACTIVE_INCIDENT, None)
    wanted = MoveRequest(Move.RESOLVE, batch.at)
    change = lifecycle_service.move_untold(batch.session, incident, wanted, because=" because its alert recovered")
    if change is not None:
        batch.to_tell.append(change)
    return _result(AlertStatus.INCIDENT_RESOLVED, incident)


def _fire(batch: Batch, signal: AlertSignal) -> AlertResult:
    """Count it for the incident that there is, or open one. Raises Conflict if others are faster again and again."""
    for _ in range(MAX_ROUNDS):
        incident = batch.incident_of(signal)
        if incident is not None:
            _repeat(batch, incident, signal)
            return _result(AlertStatus.INCIDENT_UPDATED, incident)
        [opened] = _open_many(batch, [signal])
        if opened is not None:
            return _result(AlertStatus.INCIDENT_CREATED, opened)
    raise Conflict("The alert is opened and resolved faster than it can be applied.")


def _repeat(batch: Batch, incident: Incident, signal: AlertSignal) -> None:
    """Count it and keep what it says now. A description that a person wrote stays."""
    if incident.metadata_ != signal.metadata:
        batch.changed[incident.id] = incident
    incident.metadata_ = signal.metadata
    if signal.description is not None and not incident.is_description_edited:
        incident.description = signal.description
    incident.alert_count += 1
    incident.last_alert_at = incident.updated_at = batch.at
    count = incident.alert_count
    description = f"The alert was repeated: {count} in all."
    happened = TimelineEventType.ALERT_REPEATED
    record(batch.session, incident.id, happened, description, at=batch.at, alert_count=count)
    if signal.severity is not None:
        _worsen(batch, incident, Severity(signal.severity))


def _worsen(batch: Batch, incident: Incident, reported: Severity) -> None:
    """Only an alert that is worse than it ever was raises the severity: a person may have lowered it since."""
    if incident.alert_severity is None or reported.outranks(Severity(incident.alert_severity)):
        incident.alert_severity = reported
        lifecycle_service.raise_severity(batch.session, incident, reported, at=batch.at)


MESSAGES = {
    AlertStatus.INCIDENT_CREATED: "Incident {id} was opened.",
    AlertStatus.INCIDENT_UPDATED: "Incident {id} was updated.",
    AlertStatus.INCIDENT_RESOLVED: "Incident {id} was resolved.",
    AlertStatus.NO_MATCHING_ACTIVE_INCIDENT: "No unresolved incident stands for this alert.",
}


def _result(status: AlertStatus, incident: Incident | None) -> AlertResult:
    incident_id = incident.id if incident else None
    return AlertResult(status=status, incident_id=incident_id, message=MESSAGES[status].format(id=incident_id))


def _told_of_unreadable(result: AlertResult, signal: AlertSignal) -> AlertResult:
    """The result, with a message and a log entry that say why an alert could not be read."""
    reason = signal.unreadable_because
    if reason is None:
        return result
    log.warning("alert_unreadable", source=signal.source, reason=reason, incident_id=result.incident_id)
    message = f"The alert could not be read: {reason}. {result.message} Its description has the text that was sent."
    return result.model_copy(update={"message": message})


def answer(results: list[AlertResult], *, has_unreadable: bool = False) -> AlertAnswer:
    """The answer to the sender: the first result, and all of them. The last one may be of what could not be read."""
    if not results:
        nothing = AlertResult(status=AlertStatus.NO_CHANGES, incident_id=None, message="The body holds no alert.")
        return AlertAnswer(**nothing.model_dump(), results=[])
    first = results[0]
    if has_unreadable and len(results) > 1:
        first = first.model_copy(update={"message": f"{first.message} {results[-1].message}"})
    return AlertAnswer(**first.model_dump(), results=results)
