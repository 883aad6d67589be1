"""Incidents: which there are, whose locks are free, and inserting many at once."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, Row, Select, any_, bindparam, select, tuple_
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.security import MAX_ID
from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud.base import CRUDBase
from app.crud.incident_list import IncidentFilter, as_rows, statement_for
from app.crud.pagination import Page
from app.crud.time_slice import OLDEST, Place, TimeSlice
from app.models import Escalation, EscalationPolicyVersion, Incident

WINDOWS = 50  # of ids that are tried for one that is not locked
UNRESOLVED = Incident.status != IncidentStatus.RESOLVED


@cache
def _rows_by_ids() -> Select[Any]:
    return as_rows().where(_is_given())


@cache
def _by_ids() -> Select[Incident]:
    return _with_escalations(select(Incident).where(_is_given()))


def _follows(column: Any, id_: Any, value: Any, after: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """True for the rows with a value whose ids follow one, for an index by the column and the id."""
    place = tuple_(column, id_)
    return place > tuple_(value, after), place <= tuple_(value, MAX_ID)


def _is_given() -> ColumnElement[bool]:
    return Incident.id == any_(bindparam("ids", type_=ARRAY(Integer)))


def _with_escalations(query: Select[Incident]) -> Select[Incident]:
    return query.options(selectinload(Incident.escalations))


class CRUDIncident(CRUDBase[Incident]):
    """Every incident comes with its escalations: they say when the next step is due."""

    def get(self, session: Session, id_: int) -> Incident | None:
        return session.scalars(_by_ids(), {"ids": [id_]}).one_or_none()

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

    def slice(self, session: Session, wanted: IncidentFilter, part: TimeSlice) -> Page[Row[Any]]:
        """Incidents, newest first. The rows have the attributes of incidents, and `next_escalation_at`."""
        statement, given = statement_for(wanted, self.place_of(session, part.before))
        return part.read(session, statement, **given)

    def place_of(self, session: Session, place: Place | int) -> Place:
        """The place in the list, newest first, of an incident's id: cursors of the previous release are ids.

        The incident may be gone: then its place is just before the one with the next smaller id.
        """
        if isinstance(place, Place):
            return place
        nearest = select(Incident.created_at).where(Incident.id <= place).order_by(Incident.id.desc()).limit(1)
        return Place(session.scalar(nearest) or OLDEST.at, place)

    def rows(self, session: Session, ids: Collection[int]) -> dict[int, Row[Any]]:
        """Incidents by their ids, as `slice` has them."""
        return {row.id: row for row in session.execute(_rows_by_ids(), {"ids": list(ids)})}

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
        """The ids of the open incidents that follow an id.

        A range in the order of an index: no other index will do, however rare open incidents are.
        """
        is_next = _follows(Incident.status, Incident.id, IncidentStatus.OPEN.value, after)
        query = select(Incident.id).where(*is_next).order_by(Incident.status, Incident.id)
        return session.scalars(query.limit(limit)).all()

    def escalated_by_after(self, session: Session, policy_id: int, after: int, *, limit: int) -> Sequence[int]:
        """The ids of the unresolved incidents that a policy escalates or has escalated and that follow an id."""
        is_next = _follows(Escalation.policy_id, Escalation.incident_id, policy_id, after)
        query = (
            select(Escalation.incident_id)
            .join(Incident, Incident.id == Escalation.incident_id)
            .where(*is_next, Escalation.state != EscalationState.ENDED, UNRESOLVED)
            .order_by(Escalation.policy_id, Escalation.incident_id)
        )
        return session.scalars(query.limit(limit)).all()


crud_incident = CRUDIncident(Incident)
