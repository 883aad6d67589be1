"""Assignments of users to incidents."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Integer, Row, Select, any_, bindparam, select, tuple_
from sqlalchemy.orm import Session

from app.core.vocabulary import NotificationKind, TimelineEventType
from app.crud.base import CRUDBase
from app.crud.pagination import columns_of
from app.models import IncidentAssignment, Notification, TimelineEvent

PAGES = [kind for kind in NotificationKind if kind.is_page]


class CRUDAssignment(CRUDBase[IncidentAssignment]):
    def of_incident(self, session: Session, incident_id: int) -> Sequence[Row[Any]]:
        """The assignments to an incident, in the order in which they were made."""
        return self.of_incidents(session, [incident_id])[incident_id]

    def of_incidents(self, session: Session, ids: Collection[int]) -> dict[int, list[Row[Any]]]:
        """The assignments to each of these incidents."""
        found: dict[int, list[Row[Any]]] = {id_: [] for id_ in ids}
        for assignment in session.execute(_of_incidents(), {"ids": list(ids)}):
            found[assignment.incident_id].append(assignment)
        return found

    def of_user(self, session: Session, incident_id: int, user_id: int) -> IncidentAssignment | None:
        return session.scalar(
            select(IncidentAssignment).where(
                IncidentAssignment.incident_id == incident_id, IncidentAssignment.user_id == user_id
            )
        )

    def of_pairs(
        self, session: Session, pairs: Collection[tuple[int, int]]
    ) -> dict[tuple[int, int], IncidentAssignment]:
        """The assignments that there are of these pairs of an incident and a user, by their ids."""
        if not pairs:
            return {}
        pair = tuple_(IncidentAssignment.incident_id, IncidentAssignment.user_id)
        found = session.scalars(select(IncidentAssignment).where(pair.in_(pairs)))
        return {(assignment.incident_id, assignment.user_id): assignment for assignment in found}

    def is_involved(self, session: Session, incident_id: int, user_id: int) -> bool:
        """True if the user is assigned to the incident, was paged for it, or acknowledged it at some time."""
        assigned = select(IncidentAssignment.id).where(
            IncidentAssignment.incident_id == incident_id, IncidentAssignment.user_id == user_id
        )
        paged = select(Notification.id).where(
            Notification.incident_id == incident_id, Notification.user_id == user_id, Notification.kind.in_(PAGES)
        )
        acknowledged = select(TimelineEvent.id).where(
            TimelineEvent.incident_id == incident_id,
            TimelineEvent.user_id == user_id,
            TimelineEvent.event_type == TimelineEventType.ACKNOWLEDGED,
        )
        return bool(session.scalar(select(assigned.exists() | paged.exists() | acknowledged.exists())))

    def incidents_with_any(self, session: Session, incident_ids: Sequence[int]) -> set[int]:
        """The incidents that have an assignee."""
        query = select(IncidentAssignment.incident_id).where(IncidentAssignment.incident_id.in_(incident_ids))
        return set(session.scalars(query.distinct()))

    def remove(self, session: Session, assignment: IncidentAssignment) -> None:
        session.delete(assignment)
        session.flush()


@cache
def _of_incidents() -> Select[Any]:
    ids = bindparam("ids", type_=ARRAY(Integer))
    query = select(*columns_of(IncidentAssignment)).where(IncidentAssignment.incident_id == any_(ids))
    return query.order_by(IncidentAssignment.id)


crud_assignment = CRUDAssignment(IncidentAssignment)
