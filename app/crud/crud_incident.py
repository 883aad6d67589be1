"""Incidents: which there are, whose locks are free, and inserting many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from app.core.vocabulary import EscalationState, IncidentStatus, Severity
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice
from app.models import Escalation, EscalationPolicyVersion, Incident

SEARCHED = (Incident.title, Incident.description, Incident.service)
ALERT_BATCHES = 0x1A5BA7
WINDOWS = 50  # of ids that are tried for one that is not locked
UNRESOLVED = Incident.status != IncidentStatus.RESOLVED


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What to list. Values of one field are alternatives, fields must all hold."""

    status: Sequence[IncidentStatus] = ()
    severity: Sequence[Severity] = ()
    service: Sequence[str] = ()
    source: Sequence[str] = ()
    assigned_to: Sequence[int] = ()
    created_by: Sequence[int] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    is_unmatched: bool | None = None
    words: Sequence[str] = field(default=())

    def conditions(self) -> list[ColumnElement[bool]]:
        columns = {
            Incident.status: self.status,
            Incident.severity: self.severity,
            Incident.service: self.service,
            Incident.source: self.source,
            Incident.assigned_to: self.assigned_to,
            Incident.created_by: self.created_by,
        }
        wanted: list[ColumnElement[bool]] = [column.in_(values) for column, values in columns.items() if values]
        if self.created_after is not None:
            wanted.append(Incident.created_at >= self.created_after)
        if self.created_before is not None:
            wanted.append(Incident.created_at < self.created_before)
        if self.is_unmatched is not None:
            wanted.append(Incident.is_unmatched.expression if self.is_unmatched else ~Incident.is_unmatched)
        return wanted + [_mentions(word) for word in self.words]


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to open, by hand or by an alert. `alert_severity` is what an alert reported, None for no alert."""

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

    def row(self, at: datetime) -> dict[str, Any]:
        """The columns with their values."""
        is_by_alert = self.alert_severity is not None
        return {
            "title": self.title,
            "description": self.description,
            "status": IncidentStatus.OPEN,
            "severity": self.severity,
            "service": self.service,
            "metadata_": self.metadata,
            "source": self.source,
            "created_by": self.created_by,
            "assigned_to": self.assigned_to,
            "alert_id": self.alert_id,
            "alert_severity": self.alert_severity,
            "alert_count": int(is_by_alert),
            "last_alert_at": at if is_by_alert else None,
            "created_at": at,
            "updated_at": at,
        }


def _mentions(word: str) -> ColumnElement[bool]:
    return or_(*(column.icontains(word, autoescape=True) for column in SEARCHED))


def _with_escalations(query: Select[Incident]) -> Select[Incident]:
    return query.options(selectinload(Incident.escalations))


class CRUDIncident(CRUDBase[Incident]):
    """Every incident comes with its escalations: they say when the next step is due."""

    def get(self, session: Session, id_: int) -> Incident | None:
        return session.scalar(_with_escalations(select(Incident).where(Incident.id == id_)))

    def get_for_update(self, session: Session, id_: int) -> Incident | None:
        """Lock the incident, which everyone locks first, and read it anew with its escalations and their steps."""
        steps = joinedload(Escalation.version).joinedload(EscalationPolicyVersion.policy)
        query = select(Incident).where(Incident.id == id_).options(selectinload(Incident.escalations).options(steps))
        return session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))

    def lock_free(self, session: Session, wanted: Select[Any], *, limit: int) -> dict[int, Incident]:
        """Lock those of the first wanted ids whose incidents nobody has locked, and read them anew.

        Where all are locked, it looks at the next ones: a lock that lasts keeps no other incident waiting.
        """
        for window in range(WINDOWS):
            ids = session.scalars(wanted.offset(window * limit).limit(limit)).all()
            free = self.lock_available(session, set(ids))
            if free or len(ids) < limit:
                return free
        return {}

    def lock_available(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Lock those of the incidents that nobody has locked, and read them anew."""
        locked = session.scalars(
            _with_escalations(select(Incident).where(Incident.id.in_(ids)))
            .order_by(Incident.id)
            .with_for_update(key_share=True, skip_locked=True)
            .execution_options(populate_existing=True)
        )
        return {incident.id: incident for incident in locked}

    def by_ids(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Incidents alone, by their ids."""
        found = session.scalars(select(Incident).where(Incident.id.in_(ids)))
        return {incident.id: incident for incident in found}

    def slice(self, session: Session, wanted: IncidentFilter, part: Slice) -> Page[Incident]:
        query, wide = select(Incident).where(*wanted.conditions()), (*SEARCHED, Incident.alert_id, Incident.metadata_)
        options = [selectinload(Incident.escalations)]
        return part.read(session, query, Incident.id, *wide, newest_first=True, options=options)

    def one_batch_at_a_time(self, session: Session) -> None:
        """Wait for other batches of alerts to end: two that share several alerts would wait for each other."""
        session.execute(select(func.pg_advisory_xact_lock(ALERT_BATCHES)))

    def lock_unresolved(self, session: Session, source: str, keys: Sequence[str]) -> dict[str, Incident]:
        """The unresolved incident of each alert key that has one, locked in order of their ids."""
        if not keys:
            return {}
        query = (
            select(Incident)
            .where(Incident.source == source, Incident.alert_id.in_(keys), UNRESOLVED)
            .order_by(Incident.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return {incident.alert_id or "": incident for incident in session.scalars(_with_escalations(query))}

    def add_new(self, session: Session, new: Sequence[NewIncident], *, at: datetime) -> list[Incident | None]:
        """Insert with one statement; None in the place of one whose alert is open in another incident already.

        In the order of their alerts: two batches of the same alerts wait for each other in one direction only.
        """
        if not new:
            return []
        statement = (
            insert(Incident)
            .on_conflict_do_nothing(index_elements=["source", "alert_id"], index_where=UNRESOLVED)
            .returning(Incident, sort_by_parameter_order=False)
        )
        ordered = sorted(new, key=lambda incident: incident.alert_id or "")
        inserted = list(session.scalars(statement, [incident.row(at) for incident in ordered]))
        for incident in inserted:
            set_committed_value(incident, "escalations", [])
            set_committed_value(incident, "assignments", [])
        return _in_the_order_of(new, inserted)

    def claim_snooze_ended(self, session: Session, *, at: datetime, limit: int) -> Sequence[Incident]:
        query = (
            select(Incident)
            .where(Incident.status == IncidentStatus.SNOOZED, Incident.snoozed_until <= at)
            .order_by(Incident.snoozed_until)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        )
        return session.scalars(_with_escalations(query)).all()

    def open_after(self, session: Session, after: int, *, limit: int) -> Sequence[int]:
        """The ids of the open incidents that follow an id."""
        query = select(Incident.id).where(Incident.status == IncidentStatus.OPEN, Incident.id > after)
        return session.scalars(query.order_by(Incident.id).limit(limit)).all()

    def escalated_by_after(self, session: Session, policy_id: int, after: int, *, limit: int) -> Sequence[int]:
        """The ids of the unresolved incidents that a policy escalates or has escalated and that follow an id."""
        escalated = select(Escalation.incident_id).where(
            Escalation.policy_id == policy_id, Escalation.state != EscalationState.ENDED
        )
        query = select(Incident.id).where(Incident.id.in_(escalated), Incident.id > after, UNRESOLVED)
        return session.scalars(query.order_by(Incident.id).limit(limit)).all()


def _in_the_order_of(new: Sequence[NewIncident], inserted: Sequence[Incident]) -> list[Incident | None]:
    """Match what came back to what was sent: by alert key, and one after the other where there is none."""
    by_key = {incident.alert_id: incident for incident in inserted if incident.alert_id is not None}
    keyless = iter(sorted((i for i in inserted if i.alert_id is None), key=lambda incident: incident.id))
    return [next(keyless) if one.alert_id is None else by_key.get(one.alert_id) for one in new]


crud_incident = CRUDIncident(Incident)
