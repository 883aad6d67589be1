"""Incidents: which there are, whose locks are free, and inserting many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.vocabulary import EscalationState, IncidentStatus, Severity
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice
from app.models import Escalation, EscalationPolicyVersion, Incident

SEARCHED = (Incident.title, Incident.description, Incident.service)
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

    def existing(self, session: Session, ids: Collection[int]) -> set[int]:
        """Those of the ids that are incidents, locked or not."""
        return set(session.scalars(select(Incident.id).where(Incident.id.in_(ids)))) if ids else set()

    def by_ids(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Incidents alone, by their ids."""
        found = session.scalars(select(Incident).where(Incident.id.in_(ids)))
        return {incident.id: incident for incident in found}

    def slice(self, session: Session, wanted: IncidentFilter, part: Slice) -> Page[Incident]:
        query, wide = select(Incident).where(*wanted.conditions()), (*SEARCHED, Incident.alert_id, Incident.metadata_)
        options = [selectinload(Incident.escalations)]
        return part.read(session, query, Incident.id, *wide, newest_first=True, options=options)

    def lock_each(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Incidents by their ids, locked in order of their ids."""
        if not ids:
            return {}
        query = (
            _with_escalations(select(Incident).where(Incident.id.in_(ids)))
            .order_by(Incident.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return {incident.id: incident for incident in session.scalars(query)}

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


crud_incident = CRUDIncident(Incident)
