"""Who works on which incident."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.models import IncidentAssignment


class CRUDAssignment(CRUDBase[IncidentAssignment]):
    def of_incident(self, session: Session, incident_id: int) -> Sequence[IncidentAssignment]:
        query = select(IncidentAssignment).where(IncidentAssignment.incident_id == incident_id)
        return session.scalars(query.order_by(IncidentAssignment.id)).all()

    def of_user(self, session: Session, incident_id: int, user_id: int) -> IncidentAssignment | None:
        return session.scalar(
            select(IncidentAssignment).where(
                IncidentAssignment.incident_id == incident_id, IncidentAssignment.user_id == user_id
            )
        )

    def incidents_with_any(self, session: Session, incident_ids: Sequence[int]) -> set[int]:
        """Those of the incidents that somebody is assigned to."""
        query = select(IncidentAssignment.incident_id).where(IncidentAssignment.incident_id.in_(incident_ids))
        return set(session.scalars(query.distinct()))

    def remove(self, session: Session, assignment: IncidentAssignment) -> None:
        session.delete(assignment)
        session.flush()


crud_assignment = CRUDAssignment(IncidentAssignment)
