"""Turns alerts into incidents: opens, updates, resolves. One alert is a batch of one.

Most alerts open an incident or repeat: those are planned from what was read once and written with one statement for
all. The others are applied one after the other by `alert_change_service`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core import origin
from app.core.batches import LOCKED, Locked
from app.core.errors import Conflict
from app.core.metrics import UNREADABLE
from app.core.source import AlertSignal
from app.core.vocabulary import AlertStatus, Severity
from app.crud import crud_incident
from app.crud.clock import now
from app.crud.crud_alert import AlertedIncident, crud_alert
from app.schemas.alert import AlertAnswer, AlertResult
from app.services import counting_service
from app.services.incidents import alert_change_service, alert_repeat_service, incident_service
from app.services.incidents.alert_change_service import MAX_ROUNDS, OVERTAKEN, Changes
from app.services.incidents.alert_repeat_service import Done
from app.services.incidents.opening import OpenedIncident, incident_of_alert

log = structlog.get_logger()

MAX_ALERTS = 2_000  # some seconds, in which other batches wait


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts of one source that are applied together, and what is known of their incidents.

    `known` has the locked incident of each key that has one. `locked` has the keys whose incident another transaction
    has locked; only a batch that `waits` for no lock has such.
    """

    session: Session
    signals: Sequence[AlertSignal]
    at: datetime
    default_severity: Severity
    waits: bool
    known: dict[str, AlertedIncident] = field(default_factory=dict)
    locked: set[str | None] = field(default_factory=set)
    done: dict[int, Done] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return self.signals[0].source

    def know(self, position: int, opened: OpenedIncident) -> None:
        """Keep that the alert at a position has opened an incident."""
        self.done[position] = (AlertStatus.INCIDENT_CREATED, opened.id)
        key = opened.alert_id
        if key is not None:
            self.known[key] = AlertedIncident(
                id=opened.id,
                key=key,
                metadata=opened.metadata_,
                description=opened.description,
                is_description_edited=False,
                alert_count=opened.alert_count,
                alert_severity=opened.alert_severity,
            )

    def outcomes(self) -> list[str]:
        """What became of the alerts that are applied, for the metrics."""
        return [UNREADABLE if self.signals[p].unreadable_because else status for p, (status, _) in self.done.items()]

    def left(self) -> dict[int, AlertSignal]:
        """The alerts that are not applied yet and can be, by position."""
        return {
            position: signal
            for position, signal in enumerate(self.signals)
            if position not in self.done and signal.dedup_key not in self.locked
        }


def ingest(session: Session, signals: Sequence[AlertSignal], *, default_severity: Severity) -> list[AlertResult]:
    """Apply alerts in their order; the result has one entry for each.

    The database decides who opens the incident of a key (a partial unique index), so that concurrent posts of one
    alert open one. All signals of a batch have one source.
    """
    mine = [replace(signal, traceparent=origin.current().traceparent) for signal in signals]
    results = ingest_each(session, mine, default_severity=default_severity, waits=True)
    return [result for result in results if not isinstance(result, Locked)]


def ingest_each(
    session: Session, signals: Sequence[AlertSignal], *, default_severity: Severity, waits: bool
) -> list[AlertResult | Locked]:
    """As `ingest`. Unless it `waits`, LOCKED stands for an alert whose incident another transaction has locked."""
    if not signals:
        return []
    batch = Batch(session, signals, now(session), default_severity, waits)
    keys = {signal.dedup_key for signal in signals if signal.dedup_key}
    keys |= {signal.former_key.key for signal in signals if signal.former_key}
    if waits and len(keys) > 1:
        crud_alert.one_batch_at_a_time(session)
    _lock(batch, keys)
    _open_new(batch)
    batch.done.update(alert_repeat_service.count(session, batch.known, batch.left(), at=batch.at))
    _apply_the_rest(batch)
    counting_service.alerts(session, batch.source, batch.outcomes())
    return [_result(batch, position) for position in range(len(signals))]


def _lock(batch: Batch, keys: Collection[str]) -> None:
    """Lock the unresolved incidents of these keys."""
    found = crud_alert.lock_unresolved(batch.session, batch.source, keys, waits=batch.waits)
    batch.known.update(found | _under_former_keys(batch.signals, found))
    if not batch.waits:
        busy = crud_alert.unresolved_keys(batch.session, batch.source, set(keys) - found.keys())
        batch.locked.update(signal.dedup_key for signal in batch.signals if _has_key_in(signal, busy))


def _has_key_in(signal: AlertSignal, keys: Collection[str]) -> bool:
    return signal.dedup_key in keys or (signal.former_key is not None and signal.former_key.key in keys)


def _under_former_keys(
    signals: Sequence[AlertSignal], unresolved: dict[str, AlertedIncident]
) -> dict[str, AlertedIncident]:
    """The incidents that an earlier version opened under another key, by the key of today."""
    found = {}
    for signal in signals:
        former = signal.former_key
        incident = unresolved.get(former.key) if former else None
        if former and incident and signal.dedup_key not in unresolved and former.is_of(incident.metadata):
            found[signal.dedup_key or ""] = incident
    return found


def _open_new(batch: Batch) -> None:
    """Open, with one statement, the incidents of the alerts that fire first of their key. Raises Conflict.

    Another transaction may be faster with some of them: their incidents are locked then.
    """
    for _ in range(MAX_ROUNDS):
        opening = _first_of_their_key(batch.left(), batch.known)
        if not opening:
            return
        new = [incident_of_alert(signal, default_severity=batch.default_severity) for signal in opening.values()]
        opened = incident_service.open_many(batch.session, new, at=batch.at)
        for position, incident in zip(opening, opened, strict=True):
            if incident is not None:
                batch.know(position, incident)
        _lock(batch, {signal.dedup_key for p, signal in opening.items() if p not in batch.done and signal.dedup_key})
    if _first_of_their_key(batch.left(), batch.known):
        raise Conflict(OVERTAKEN)


def _first_of_their_key(signals: Mapping[int, AlertSignal], known: Collection[str]) -> dict[int, AlertSignal]:
    """The firing alerts, by position, that have no key or are the first of a key that has no incident yet."""
    seen: set[str | None] = set(known)
    first = {}
    for position, signal in signals.items():
        is_first = signal.dedup_key is None or signal.dedup_key not in seen
        seen.add(signal.dedup_key)
        if is_first and signal.is_firing:
            first[position] = signal
    return first


def _apply_the_rest(batch: Batch) -> None:
    """What neither opened an incident nor only repeated, in the order in which it came."""
    rest = batch.left()
    if not rest:
        return
    keys = {signal.dedup_key for signal in rest.values() if signal.dedup_key}
    ids = {key: batch.known[key].id for key in keys & batch.known.keys()}
    incidents = crud_incident.lock_each(batch.session, ids.values())
    unresolved = {key: incidents[id_] for key, id_ in ids.items()}
    changes = Changes(batch.session, batch.at, batch.default_severity, unresolved)
    batch.done.update(zip(rest, alert_change_service.apply(changes, list(rest.values())), strict=True))


MESSAGES = {
    AlertStatus.INCIDENT_CREATED: "Incident {id} was opened.",
    AlertStatus.INCIDENT_UPDATED: "Incident {id} was updated.",
    AlertStatus.INCIDENT_RESOLVED: "Incident {id} was resolved.",
    AlertStatus.NO_MATCHING_ACTIVE_INCIDENT: "No open incident matches this alert.",
}


def _result(batch: Batch, position: int) -> AlertResult | Locked:
    if position not in batch.done:
        return LOCKED
    status, incident_id = batch.done[position]
    message = MESSAGES[status].format(id=incident_id)
    reason = batch.signals[position].unreadable_because
    if reason is not None:
        log.warning("alert_unreadable", source=batch.source, reason=reason, incident_id=incident_id)
        message = f"The alert could not be read: {reason}. {message} Its description has the text that was sent."
    return AlertResult(status=status, incident_id=incident_id, message=message)


def answer(results: list[AlertResult], *, has_unreadable: bool = False) -> AlertAnswer:
    """The answer to the sender: the first result, and all of them. The last one may be of what could not be read."""
    if not results:
        nothing = AlertResult(status=AlertStatus.NO_CHANGES, incident_id=None, message="The body holds no alert.")
        return AlertAnswer(**nothing.model_dump(), results=[])
    first = results[0]
    if has_unreadable and len(results) > 1:
        first = first.model_copy(update={"message": f"{first.message} {results[-1].message}"})
    return AlertAnswer(**first.model_dump(), results=results)
