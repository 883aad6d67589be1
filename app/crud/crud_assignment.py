"""Assignments of users to incidents."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Integer, Row, Select, any_, bindparam, select
from sqlalchemy.orm import Session

from app.core.vocabulary import NotificationKind, TimelineEventType
from app.crud import bulk
from app.crud.base import CRUDBase
from app.crud.pagination import columns_of
from app.models import IncidentAssignment, Notification, TimelineEvent

PAIR = ("incident_id", "user_id")
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

    def among(self, session: Session, pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of these pairs, of an incident's id and a user's, that are assignments."""
        if not pairs:
            return set()
        rows = [{"incident_id": incident_id, "user_id": user_id} for incident_id, user_id in pairs]
        return {(row[0], row[1]) for row in session.execute(_among(), {"pairs": bulk.as_json(rows)})}

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


@cache
def _among() -> Select[int, int]:
    given = bulk.given_rows(IncidentAssignment, PAIR, "pairs")
    is_given = (IncidentAssignment.incident_id == given.c.incident_id) & (IncidentAssignment.user_id == given.c.user_id)
    return select(IncidentAssignment.incident_id, IncidentAssignment.user_id).join(given, is_given)


crud_assignment = CRUDAssignment(IncidentAssignment)
