"""Decides what is recorded when an incident is opened: the incident, its escalations and its timeline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.source import AlertSignal
from app.core.vocabulary import IncidentStatus, Severity, TimelineEventType
from app.services.escalation import Facts
from app.services.escalation_state import FirstStart

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to open, by hand or by an alert. `alert_severity` is what an alert reported, None for no alert.

    `api_key_id` is the key with which `created_by` opens it. `traceparent` is the trace of the request (W3C).
    """

    title: str
    description: str | None
    severity: Severity
    service: str
    metadata: dict[str, Any]
    source: str = "api"
    created_by: int | None = None
    assigned_to: int | None = None
    alert_id: str | None = None
    alert_severity: Severity | None = None
    api_key_id: int | None = None
    traceparent: str | None = None

    @property
    def is_by_alert(self) -> bool:
        return self.alert_severity is not None

    @property
    def facts(self) -> Facts:
        """What the conditions of policies can ask."""
        return Facts(self.severity, self.service, self.source, self.assigned_to is not None, self.metadata)


@dataclass(frozen=True, slots=True)
class OpenedIncident:
    """An incident as it is right after its opening."""

    id: int
    title: str
    description: str | None
    severity: Severity
    service: str
    metadata_: dict[str, Any]
    source: str
    created_by: int | None
    assigned_to: int | None
    alert_id: str | None
    alert_severity: Severity | None
    alert_count: int
    last_alert_at: datetime | None
    is_unmatched: bool
    created_at: datetime
    next_escalation_at: datetime | None
    status: IncidentStatus = IncidentStatus.OPEN
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    snoozed_until: datetime | None = None
    api_key_id: int | None = None
    traceparent: str | None = None

    @property
    def updated_at(self) -> datetime:
        return self.created_at

    def row(self) -> Row:
        """The columns with their values, but for those that have their default."""
        return {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "severity": self.severity,
            "service": self.service,
            "metadata": self.metadata_,
            "source": self.source,
            "created_by": self.created_by,
            "assigned_to": self.assigned_to,
            "alert_id": self.alert_id,
            "alert_severity": self.alert_severity,
            "alert_count": self.alert_count,
            "last_alert_at": self.last_alert_at,
            "is_unmatched": self.is_unmatched,
            "unmatched_due_at": self.created_at if self.is_unmatched else None,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "traceparent": self.traceparent,
        }


@dataclass(frozen=True, slots=True)
class Opening:
    """What opening one incident records."""

    incident: OpenedIncident
    starts: Sequence[FirstStart]

    @property
    def is_due_at_once(self) -> bool:
        """True if the worker has something to do: a first step, or to look at an incident that no policy matches."""
        due_at = self.incident.next_escalation_at
        return due_at is None or due_at <= self.incident.created_at

    def escalations(self) -> Iterator[Row]:
        """The columns of the escalations that start, but for those that have their default."""
        at = self.incident.created_at
        for start in self.starts:
            begun = start.progress
            yield {
                "incident_id": self.incident.id,
                "policy_id": start.policy_id,
                "version_id": begun.version_id,
                "state": begun.state,
                "cycle": begun.cycle,
                "loop": begun.loop,
                "repeats_left": begun.repeats_left,
                "step": begun.step,
                "next_run_at": begun.next_run_at,
                "created_at": at,
                "updated_at": at,
            }

    def entries(self) -> Iterator[Row]:
        """The timeline: that the incident was opened, and which escalations started."""
        opened = f"Incident opened with severity {self.incident.severity}."
        data = self._source() | self._key()
        yield self._entry(TimelineEventType.CREATED, opened, data, by=self.incident.created_by)
        for start in self.starts:
            due_at = start.progress.next_run_at
            data = {"policy_id": start.policy_id, "first_step_due_at": due_at.isoformat() if due_at else None}
            started = f"Escalation by policy “{start.policy_name}” started."
            yield self._entry(TimelineEventType.ESCALATION_STARTED, started, data)
        if self.incident.is_unmatched:
            unmatched = "No escalation policy matches this incident."
            yield self._entry(TimelineEventType.NO_POLICY_MATCHED, unmatched, {})

    def _source(self) -> Row:
        """Where the incident came from. A repeated alert replaces the description, so its first one is kept."""
        if self.incident.alert_severity is None or self.incident.description is None:
            return {"source": self.incident.source}
        return {"source": self.incident.source, "first_description": self.incident.description}

    def _key(self) -> Row:
        """The API key with which somebody opened the incident."""
        return {} if self.incident.api_key_id is None else {"api_key_id": self.incident.api_key_id}

    def _entry(self, event_type: TimelineEventType, description: str, data: Row, by: int | None = None) -> Row:
        return {
            "incident_id": self.incident.id,
            "event_type": event_type,
            "description": description,
            "user_id": by,
            "metadata": data,
            "created_at": self.incident.created_at,
        }


def opening_of(id_: int, new: NewIncident, starts: Sequence[FirstStart], *, at: datetime) -> Opening:
    """What is recorded when an incident is opened and these escalations start."""
    incident = OpenedIncident(
        id=id_,
        title=new.title,
        description=new.description,
        severity=new.severity,
        service=new.service,
        metadata_=new.metadata,
        source=new.source,
        created_by=new.created_by,
        assigned_to=new.assigned_to,
        alert_id=new.alert_id,
        alert_severity=new.alert_severity,
        alert_count=int(new.is_by_alert),
        last_alert_at=at if new.is_by_alert else None,
        is_unmatched=not starts,
        created_at=at,
        next_escalation_at=min((s.progress.next_run_at for s in starts if s.progress.next_run_at), default=None),
        api_key_id=new.api_key_id,
        traceparent=new.traceparent,
    )
    return Opening(incident, starts)


def incident_of_alert(signal: AlertSignal, *, default_severity: Severity) -> NewIncident:
    """The incident that an alert opens."""
    severity = Severity(signal.severity or default_severity)
    return NewIncident(
        title=signal.title,
        description=signal.description,
        severity=severity,
        service=signal.service,
        metadata=signal.metadata,
        source=signal.source,
        alert_id=signal.dedup_key,
        alert_severity=severity,
        traceparent=signal.traceparent,
    )
