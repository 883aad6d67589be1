"""Turns alerts into incidents: opens, updates, resolves. One alert is a batch of one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import Conflict, InvalidInput
from app.core.source import AlertSignal
from app.core.vocabulary import AlertStatus, IncidentStatus, Severity, TimelineEventType
from app.crud import crud_incident
from app.crud.clock import now
from app.models import Incident
from app.schemas.alert import AlertAnswer, AlertResult
from app.services import escalation_service
from app.services.incidents import incident_service
from app.services.incidents.incident import Move
from app.services.timeline_service import record

log = structlog.get_logger()

# An alert may be resolved by another transaction between our insert and our look; it does not happen forever.
MAX_ROUNDS = 10
MAX_ALERTS = 2_000  # some seconds, in which other batches wait; 1 MiB may hold a quarter of a million bare ones

Unresolved = dict[str, Incident]


def ingest(session: Session, signals: Sequence[AlertSignal], *, default_severity: Severity) -> list[AlertResult]:
    """Apply alerts in their order; the result has one entry for each.

    The database decides who opens the incident of a key (a partial unique index), so that concurrent posts of one
    alert open one. All signals of a batch have one source. Raises InvalidInput for more than any sender means.
    """
    if not signals:
        return []
    if len(signals) > MAX_ALERTS:
        raise InvalidInput(f"There are over {MAX_ALERTS} alerts in one body: send fewer at a time.", pointer="/alerts")
    at = now(session)
    keys = sorted({signal.dedup_key for signal in signals if signal.dedup_key})
    if len(keys) > 1:
        crud_incident.one_batch_at_a_time(session)
    unresolved = crud_incident.lock_unresolved(session, signals[0].source, keys)
    opening = _first_of_their_key(signals, unresolved)
    opened = _open_all(session, [signals[i] for i in opening], unresolved, at=at, severity=default_severity)
    made = dict(zip(opening, opened, strict=True))
    changed = [i for s in signals if (i := unresolved.get(s.dedup_key or "")) and i.metadata_ != s.metadata]
    results = []
    for index, signal in enumerate(signals):
        incident = made.get(index)
        if incident is not None:
            results.append(_result(AlertStatus.INCIDENT_CREATED, incident))
        else:
            results.append(_apply(session, signal, unresolved, at=at, severity=default_severity))
    session.flush()
    escalation_service.begin_on_open(session, list(dict.fromkeys(changed)), at=at)
    return results


def _first_of_their_key(signals: Sequence[AlertSignal], unresolved: Unresolved) -> list[int]:
    """Which signals open an incident at once: firing ones without a key, or the first of a key that is not open."""
    seen: set[str] = set(unresolved)
    opening = []
    for index, signal in enumerate(signals):
        if signal.dedup_key is None:
            opening += [index] if signal.is_firing else []
        elif signal.dedup_key not in seen:
            seen.add(signal.dedup_key)
            opening += [index] if signal.is_firing else []
    return opening


def _open_all(
    session: Session, signals: Sequence[AlertSignal], unresolved: Unresolved, *, at: datetime, severity: Severity
) -> list[Incident | None]:
    """Open what is not open yet. None stands for a signal that another transaction was faster with."""
    if not signals:
        return []
    rows = [_row(signal, at=at, severity=severity) for signal in signals]
    incidents = incident_service.open_many(session, rows, at=at)
    lost = [s.dedup_key for s, incident in zip(signals, incidents, strict=True) if incident is None and s.dedup_key]
    unresolved |= crud_incident.lock_unresolved(session, signals[0].source, lost)
    unresolved |= {incident.alert_id: incident for incident in incidents if incident and incident.alert_id}
    return incidents


def _apply(
    session: Session, signal: AlertSignal, unresolved: Unresolved, *, at: datetime, severity: Severity
) -> AlertResult:
    """What a signal does that did not open an incident with the batch."""
    key = signal.dedup_key or ""
    incident = unresolved.get(key)
    if not signal.is_firing:
        if incident is None:
            return _result(AlertStatus.NO_MATCHING_ACTIVE_INCIDENT, None)
        incident_service.move(session, unresolved.pop(key), Move.RESOLVE, at=at, because=" by its alert's recovery")
        return _result(AlertStatus.INCIDENT_RESOLVED, incident)
    for _ in range(MAX_ROUNDS):
        if incident is not None:
            _repeat(session, incident, signal, at=at)
            return _result(AlertStatus.INCIDENT_UPDATED, incident)
        [opened] = _open_all(session, [signal], unresolved, at=at, severity=severity)
        if opened is not None:
            return _result(AlertStatus.INCIDENT_CREATED, opened)
        incident = unresolved.get(key)
    raise Conflict("The alert is opened and resolved faster than it can be applied.")


def _repeat(session: Session, incident: Incident, signal: AlertSignal, *, at: datetime) -> None:
    """Count it and keep what it says now. Only an alert that became worse than it ever was raises the severity."""
    incident.alert_count += 1
    incident.last_alert_at = at
    incident.updated_at = at
    incident.metadata_ = signal.metadata
    description = f"The alert was repeated: {incident.alert_count} in all."
    record(session, incident.id, TimelineEventType.ALERT_REPEATED, description, at=at, alert_count=incident.alert_count)
    if signal.severity is None:
        return
    reported = Severity(signal.severity)
    if incident.alert_severity is not None and not reported.outranks(Severity(incident.alert_severity)):
        return
    incident.alert_severity = reported
    if reported.outranks(incident.severity):
        _raise_severity(session, incident, reported, at=at)


def _raise_severity(session: Session, incident: Incident, to: Severity, *, at: datetime) -> None:
    """It got worse: whoever acknowledged or snoozed did so knowing less, so that a new cycle begins."""
    status_was = incident.status
    data: dict[str, Any] = {"from": incident.severity, "to": to, "status_was": status_was}
    incident.severity = to
    incident.status = IncidentStatus.OPEN
    incident.acknowledged_at = incident.snoozed_until = None
    incident.policy_cycles = 0
    description = f"The alert raised the severity to {to}."
    record(session, incident.id, TimelineEventType.SEVERITY_RAISED, description, at=at, **data)
    log.info("incident_severity_raised", incident_id=incident.id, severity=to)
    if status_was is IncidentStatus.OPEN:
        escalation_service.rematch(session, incident, at=at)
    else:
        incident_service.start_new_cycle(session, [incident], at=at)


def _row(signal: AlertSignal, *, at: datetime, severity: Severity) -> dict[str, Any]:
    reported = signal.severity or severity
    return {
        "title": signal.title,
        "description": signal.description,
        "severity": Severity(reported),
        "service": signal.service,
        "source": signal.source,
        "alert_id": signal.dedup_key,
        "alert_count": 1,
        "alert_severity": reported,
        "last_alert_at": at,
        "metadata_": signal.metadata,
        "created_by": None,
        "assigned_to": None,
    }


MESSAGES = {
    AlertStatus.INCIDENT_CREATED: "Incident {id} was opened.",
    AlertStatus.INCIDENT_UPDATED: "Incident {id} was updated.",
    AlertStatus.INCIDENT_RESOLVED: "Incident {id} was resolved.",
    AlertStatus.NO_MATCHING_ACTIVE_INCIDENT: "No unresolved incident stands for this alert.",
}


def _result(status: AlertStatus, incident: Incident | None) -> AlertResult:
    incident_id = incident.id if incident else None
    return AlertResult(status=status, incident_id=incident_id, message=MESSAGES[status].format(id=incident_id))


def answer(results: list[AlertResult]) -> AlertAnswer:
    """What the sender is told: the first result, and all of them."""
    if not results:
        nothing = AlertResult(status=AlertStatus.NO_CHANGES, incident_id=None, message="There was no alert in it.")
        return AlertAnswer(**nothing.model_dump(), results=[])
    return AlertAnswer(**results[0].model_dump(), results=results)
