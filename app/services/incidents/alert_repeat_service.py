"""Counts alerts that only repeat: any number of them, for any number of incidents, with one statement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.source import AlertSignal
from app.core.vocabulary import AlertStatus, Severity, TimelineEventType
from app.crud.crud_alert import AlertedIncident, Repetitions, crud_alert
from app.services import escalation_service

Done = tuple[AlertStatus, int | None]  # what an alert did, and to which incident


@dataclass(frozen=True, slots=True)
class Repeated:
    """An incident, and the alerts that only repeat, in their order."""

    incident: AlertedIncident
    signals: Sequence[AlertSignal]

    @property
    def is_metadata_changed(self) -> bool:
        return bool(self.signals[-1].metadata != self.incident.metadata)

    def outcome(self) -> Repetitions:
        """How the incident is from now on. A description that a person wrote stays."""
        said = [signal.description for signal in self.signals if signal.description is not None]
        is_kept = self.incident.is_description_edited or not said
        return Repetitions(
            id=self.incident.id,
            description=self.incident.description if is_kept else said[-1],
            metadata=dict(self.signals[-1].metadata),
            alert_count=self.incident.alert_count + len(self.signals),
        )

    def entries(self, at: datetime) -> Iterator[dict[str, Any]]:
        """An entry for each repetition."""
        for count in range(self.incident.alert_count + 1, self.incident.alert_count + len(self.signals) + 1):
            yield {
                "incident_id": self.incident.id,
                "event_type": TimelineEventType.ALERT_REPEATED,
                "description": sentence(count),
                "metadata": {"alert_count": count},
                "created_at": at,
            }


def count(
    session: Session, known: Mapping[str, AlertedIncident], signals: Mapping[int, AlertSignal], *, at: datetime
) -> dict[int, Done]:
    """Apply the alerts, by position, of those incidents that have nothing but repetitions. The incidents are locked.

    An incident may be known by two keys, if an earlier version opened it under another one.
    """
    positions: dict[int, list[int]] = {}
    for position, signal in signals.items():
        if signal.dedup_key is not None and signal.dedup_key in known:
            positions.setdefault(known[signal.dedup_key].id, []).append(position)
    incidents = {incident.id: incident for incident in known.values()}
    repeated = [Repeated(incidents[id_], [signals[p] for p in found]) for id_, found in positions.items()]
    counted = [one for one in repeated if _only_repeats(one)]
    entries = [entry for one in counted for entry in one.entries(at)]
    crud_alert.count(session, [one.outcome() for one in counted], entries, at=at)
    changed = [one.incident.id for one in counted if one.is_metadata_changed]
    escalation_service.begin_for_metadata(session, changed, at=at)
    ids = [one.incident.id for one in counted]
    return {position: (AlertStatus.INCIDENT_UPDATED, id_) for id_ in ids for position in positions[id_]}


def sentence(count: int) -> str:
    """What the timeline says of a repetition."""
    return f"The alert fired again, {count} times in total."


def _only_repeats(repeated: Repeated) -> bool:
    """True if no alert recovers, or is worse than the incident's alert ever was."""
    worst = repeated.incident.alert_severity
    return worst is not None and all(
        signal.is_firing and (signal.severity is None or not Severity(signal.severity).outranks(worst))
        for signal in repeated.signals
    )
